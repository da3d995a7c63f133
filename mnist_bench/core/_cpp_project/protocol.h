// The protocol of mnist-bench: a line of JSON, then raw little-endian arrays, on stdin and stdout. It lets mnist-bench
// verify and time this program; one that is deployed needs neither these two files nor json.h and json.cpp.

#pragma once

#include <string>

// Answers messages until told to close, or the end of stdin.
//
// engine: the one to answer with; empty for the one that is asked for, or the first there is.
// model: the file to open; empty where its content comes in the message `open`.
//
// Throws std::runtime_error at what is no message: nobody can tell where the next one begins.
void answer_messages(const std::string &engine, const std::string &model);
