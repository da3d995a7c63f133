// As much of JSON as the protocol's headers are: one line, an object, read as a whole and strictly (RFC 8259).
//
// A library would be one more thing to install before this can be built, for headers of a handful of fields. Where your
// program has one already, nlohmann/json for instance, put it in place of this file.

#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

struct Json {
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;

    std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value;

    // The field of an object, the last of its name; null where there is none. Throws where this is no object.
    const Json &operator[](const std::string &name) const;

    const std::string &text() const;
    const Array &array() const;
    bool is_null() const { return std::holds_alternative<std::nullptr_t>(value); }

    // A whole number from 0 to `most`; throws where this is anything else.
    std::size_t whole(std::size_t most) const;
    double number() const;
};

struct JsonError : std::runtime_error { using std::runtime_error::runtime_error; };

// Parses a text; throws JsonError where it is no JSON.
Json parse_json(std::string_view text);

// Writes a text as JSON has it, with its quotation marks.
std::string quoted(std::string_view text);
