// What a test expects to be thrown.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/error.h"

namespace hullft {

// The Error that body throws; fails the test when it throws none.
template <class Body>
Error Caught(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(Code::kInternal, "none");
}

// That body throws an Error with this code whose message contains `part`.
template <class Body>
void ExpectFault(Code code, const std::string& part, const Body& body) {
  const Error error = Caught(body);
  EXPECT_EQ(error.code(), code) << "where '" << part << "' was expected: " << error.what();
  EXPECT_THAT(error.message(), ::testing::HasSubstr(part));
}

}  // namespace hullft
