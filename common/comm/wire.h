// The layout of messages between ranks: what a Communicator's payload holds. docs/formats/wire.md is its page.
//
//   magic "HFWM" | version u16 | type u16 | body length u64 | body | XXH3-64 of everything before, u64    little endian
//
// A struct says its fields once, for both directions:
//   struct Task { std::string key; std::vector<int32_t> tokens; template <class A> void Wire(A& a) { a(key, tokens); }
//   }; communicator.Send(3, kTaskTag, wire::Encode(kTask, task)); Task task = wire::Decode<Task>(kTask,
//   envelope->payload, {envelope->source, host});
// Fields: bool, integers, floats, enums, std::string, std::vector, std::optional, std::pair, structs with Wire().
// A message that is truncated, damaged, of another version or type, or longer than its fields is an Error(kPeer) that
// names the peer and the fault; nothing is allocated from a length before that length is known to fit.
// Thread safety: a Writer or Reader is one thread's.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/error.h"

namespace hullft::comm::wire {

static_assert(std::endian::native == std::endian::little, "the wire format is little endian, written by memcpy");

inline constexpr std::string_view kMagic = "HFWM";
inline constexpr uint16_t kVersion = 1;
inline constexpr size_t kHeaderBytes = 16, kChecksumBytes = 8;

// Who sent a message: for the error's text.
struct Peer {
  int rank = -1;
  std::string host;
};

template <class T>
concept Plain = (std::is_arithmetic_v<T> || std::is_enum_v<T>)&&!std::same_as<T, bool> && sizeof(T) <= 8;

// Whether a message is what was sent: long enough, of the length that its header says, with its checksum.
bool Whole(std::string_view message);

class Writer {
 public:
  explicit Writer(uint16_t type);

  // Appends the fields in order.
  template <class... T>
  Writer& operator()(const T&... fields) {
    (Put(fields), ...);
    return *this;
  }
  // The whole message; the Writer is empty afterwards.
  std::string Finish() &&;

 private:
  template <Plain T>
  void Put(const T& value) {
    Raw(&value, sizeof value);
  }
  template <std::same_as<bool> T>  // a template, so that no pointer converts to bool
  void Put(const T& value) {
    Put(static_cast<uint8_t>(value));
  }
  void Put(const std::string& value) {
    Put(static_cast<uint64_t>(value.size()));
    Raw(value.data(), value.size());
  }
  template <class T>
  void Put(const std::vector<T>& values) {
    static_assert(!std::same_as<T, bool>, "use std::vector<uint8_t>");
    Put(static_cast<uint64_t>(values.size()));
    if constexpr (Plain<T>) {
      Raw(values.data(), values.size() * sizeof(T));
    } else {
      for (const T& value : values) Put(value);
    }
  }
  template <class T>
  void Put(const std::optional<T>& value) {
    Put(value.has_value());
    if (value) Put(*value);
  }
  template <class A, class B>
  void Put(const std::pair<A, B>& value) {
    (*this)(value.first, value.second);
  }
  template <class T>
  requires std::is_class_v<T> && requires(T& t, Writer& w) { t.Wire(w); }
  void Put(const T& value) {
    const_cast<T&>(value).Wire(*this);  // Wire() serves both directions; a Writer only reads
  }
  void Raw(const void* data, size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
  }

  std::string bytes_;
};

class Reader {
 public:
  // Checks magic, version, length, checksum and type. The message must outlive the Reader.
  Reader(uint16_t expected_type, std::string_view message, Peer peer);
  // The type of a message whose header and checksum are right.
  static uint16_t Type(std::string_view message, const Peer& peer);

  // Reads the fields in order.
  template <class... T>
  Reader& operator()(T&... fields) {
    (Get(fields), ...);
    return *this;
  }
  // Throws when the body holds more than was read. Call it after the last field.
  void Finish() const;
  // For what only the receiver can judge, e.g. an enum's range: Require(k <= kLast, "stage is unknown").
  void Require(bool condition, std::string_view fault) const {
    if (!condition) Fail(fault);
  }
  const Peer& peer() const { return peer_; }

 private:
  template <Plain T>
  void Get(T& value) {
    std::memcpy(&value, Take(sizeof value), sizeof value);
  }
  template <std::same_as<bool> T>
  void Get(T& value) {
    uint8_t byte = 0;
    Get(byte);
    Require(byte <= 1, "a bool is neither 0 nor 1");
    value = byte == 1;
  }
  void Get(std::string& value) {
    const uint64_t size = Count(1);
    value.assign(Take(size), size);
  }
  template <class T>
  void Get(std::vector<T>& values) {
    static_assert(!std::same_as<T, bool>, "use std::vector<uint8_t>");
    if constexpr (Plain<T>) {
      const uint64_t count = Count(sizeof(T));
      values.resize(count);
      const char* source = Take(count * sizeof(T));
      if (count > 0) std::memcpy(values.data(), source, count * sizeof(T));
    } else {
      const uint64_t count = Count(1);  // every element takes at least a byte
      values.clear();
      for (uint64_t i = 0; i < count; ++i) Get(values.emplace_back());
    }
  }
  template <class T>
  void Get(std::optional<T>& value) {
    bool present = false;
    Get(present);
    value.reset();
    if (present) Get(value.emplace());
  }
  template <class A, class B>
  void Get(std::pair<A, B>& value) {
    (*this)(value.first, value.second);
  }
  template <class T>
  requires std::is_class_v<T> && requires(T& t, Reader& r) { t.Wire(r); }
  void Get(T& value) { value.Wire(*this); }
  const char* Take(size_t size);
  // Reads a count of elements of at least `element_bytes` each, and checks that so many can follow.
  uint64_t Count(size_t element_bytes);
  [[noreturn]] void Fail(std::string_view fault) const;

  Peer peer_;
  uint16_t type_;
  std::string_view body_;
  size_t at_ = 0;
};

template <class T>
std::string Encode(uint16_t type, const T& value) {
  Writer writer(type);
  writer(value);
  return std::move(writer).Finish();
}

template <class T>
T Decode(uint16_t type, std::string_view message, Peer peer) {
  Reader reader(type, message, std::move(peer));
  T value{};
  reader(value);
  reader.Finish();
  return value;
}

// An error on its way to another rank.
struct Failure {
  std::string code, message, hint;
  static Failure From(const std::exception& error);
  // The same error, with the rank and host it came from in its message.
  [[noreturn]] void Throw(const Peer& from) const;
  template <class A>
  void Wire(A& a) {
    a(code, message, hint);
  }
};

}  // namespace hullft::comm::wire
