#include "json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr int DEEPEST = 32;  // a header is 4 deep; without a limit one of brackets would overflow the stack

class Parser {
   public:
    explicit Parser(std::string_view text) : left_(text) {}

    Json whole() {
        Json found = value(0);
        skip_spaces();
        if (!left_.empty()) fail();
        return found;
    }

   private:
    [[noreturn]] static void fail() { throw JsonError("this is no JSON"); }

    void skip_spaces() { left_.remove_prefix(std::min(left_.find_first_not_of(" \t\r\n"), left_.size())); }

    char next() {
        if (left_.empty()) fail();
        const char found = left_.front();
        left_.remove_prefix(1);
        return found;
    }

    bool take(std::string_view word) {
        if (left_.substr(0, word.size()) != word) return false;
        left_.remove_prefix(word.size());
        return true;
    }

    void expect(std::string_view word) {
        skip_spaces();
        if (!take(word)) fail();
    }

    Json value(int depth) {
        if (depth > DEEPEST) fail();
        skip_spaces();
        if (take("{")) return {object(depth)};
        if (take("[")) return {array(depth)};
        if (take("\"")) return {text()};
        if (take("true")) return {true};
        if (take("false")) return {false};
        if (take("null")) return {nullptr};
        return {number()};
    }

    Json::Object object(int depth) {
        Json::Object found;
        skip_spaces();
        if (take("}")) return found;
        do {
            expect("\"");
            const std::string name = text();
            expect(":");
            found.emplace_back(name, value(depth + 1));
            skip_spaces();
        } while (take(","));
        expect("}");
        return found;
    }

    Json::Array array(int depth) {
        Json::Array found;
        skip_spaces();
        if (take("]")) return found;
        do {
            found.push_back(value(depth + 1));
            skip_spaces();
        } while (take(","));
        expect("]");
        return found;
    }

    double number() {
        std::size_t at = !left_.empty() && left_.front() == '-' ? 1 : 0;
        const std::size_t first = at, whole = digits(at);
        if (whole == 0 || (whole > 1 && left_[first] == '0')) fail();
        if (is_at(at, ".")) {
            at++;
            if (digits(at) == 0) fail();
        }
        if (is_at(at, "eE")) {
            at++;
            if (is_at(at, "+-")) at++;
            if (digits(at) == 0) fail();
        }
        const double found = std::strtod(std::string(left_.substr(0, at)).c_str(), nullptr);
        if (!std::isfinite(found)) fail();
        left_.remove_prefix(at);
        return found;
    }

    bool is_at(std::size_t at, std::string_view any) const {
        return at < left_.size() && any.find(left_[at]) != std::string_view::npos;
    }

    // Goes on to the first that is no digit; returns how many there were.
    std::size_t digits(std::size_t &at) const {
        const std::size_t first = at;
        while (is_at(at, "0123456789")) at++;
        return at - first;
    }

    std::string text() {
        std::string found;
        for (char one = next(); one != '"'; one = next()) {
            if (static_cast<unsigned char>(one) < ' ') fail();
            if (one == '\\') escaped(found);
            else found += one;
        }
        return found;
    }

    void escaped(std::string &found) {
        constexpr std::string_view NAMES = "\"\\/bfnrt", MEANT = "\"\\/\b\f\n\r\t";
        const char one = next();
        if (one == 'u') {
            unsigned code = unit();
            if (code >= 0xD800 && code < 0xDC00) {  // the first half of a pair
                if (!take("\\u")) fail();
                const unsigned second = unit();
                if (second < 0xDC00 || second > 0xDFFF) fail();
                code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
            }
            if (code >= 0xD800 && code < 0xE000) fail();  // half of a pair, alone
            append(found, code);
        } else {
            const auto place = NAMES.find(one);
            if (place == std::string_view::npos) fail();
            found += MEANT[place];
        }
    }

    unsigned unit() {
        unsigned code = 0;
        const auto digits = left_.substr(0, 4);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (error != std::errc() || digits.size() < 4 || end != digits.data() + 4) fail();
        left_.remove_prefix(4);
        return code;
    }

    // Appends a character in UTF-8.
    static void append(std::string &found, unsigned code) {
        const auto rest = [&](int shift) { found += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
        if (code < 0x80) {
            found += static_cast<char>(code);
        } else if (code < 0x800) {
            found += static_cast<char>(0xC0 | code >> 6);
            rest(0);
        } else if (code < 0x10000) {
            found += static_cast<char>(0xE0 | code >> 12);
            rest(6), rest(0);
        } else {
            found += static_cast<char>(0xF0 | code >> 18);
            rest(12), rest(6), rest(0);
        }
    }

    std::string_view left_;
};

template <typename T>
const T &as(const Json &json, const char *kind) {
    if (const T *found = std::get_if<T>(&json.value)) return *found;
    throw JsonError(std::string("there is no ") + kind + " where one should be");
}

}  // namespace

const Json &Json::operator[](const std::string &name) const {
    static const Json NOTHING{nullptr};
    const auto &fields = as<Object>(*this, "object");
    const auto found = std::find_if(fields.rbegin(), fields.rend(), [&](const auto &one) { return one.first == name; });
    return found == fields.rend() ? NOTHING : found->second;
}

const std::string &Json::text() const { return as<std::string>(*this, "text"); }

const Json::Array &Json::array() const { return as<Array>(*this, "array"); }

double Json::number() const { return as<double>(*this, "number"); }

std::size_t Json::whole(std::size_t most) const {
    const double found = number();
    if (found < 0 || found > static_cast<double>(most) || found != std::floor(found))
        throw JsonError("there is no whole number up to " + std::to_string(most) + " where one should be");
    return static_cast<std::size_t>(found);
}

Json parse_json(std::string_view text) { return Parser(text).whole(); }

std::string quoted(std::string_view text) {
    std::string found = "\"";
    for (const char one : text) {
        if (one == '"' || one == '\\') found += '\\';
        if (static_cast<unsigned char>(one) < ' ') {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(one));
            found += code;
        } else {
            found += one;
        }
    }
    return found + '"';
}
