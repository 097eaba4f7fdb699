#include "worker/weight_exchange.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/error.h"

namespace hullft::worker {
namespace {

using nlohmann::json;

constexpr size_t kPieceFloats = size_t{16} << 20U;

std::string Outcome(const std::optional<Error>& error, const std::string& host) {
  if (!error) return "";
  return json{{"code", CodeName(error->code())}, {"message", error->message()}, {"hint", error->hint()}, {"host", host}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

[[noreturn]] void Rethrow(const std::string& outcome, size_t rank) {
  const json error = json::parse(outcome);
  throw Error(CodeFromName(error.at("code").get<std::string>()),
              fmt::format("worker {} on {}: {}", rank, error.at("host").get<std::string>(),
                          error.at("message").get<std::string>()),
              error.at("hint").get<std::string>());
}

}  // namespace

std::vector<std::string> Everyone(const WeightGroup& group, const std::string& mine) {
  std::vector<std::string> texts;
  for (int root = 0; root < group.size; ++root) {
    texts.push_back(group.size == 1 ? mine : group.broadcast(root, root == group.rank ? mine : std::string()));
  }
  return texts;
}

void Together(const WeightGroup& group, const std::string& host, const std::function<void()>& body) {
  std::optional<Error> error;
  try {
    body();
  } catch (const Error& own) {
    error = own;
  } catch (const std::exception& other) {
    error = Error(Code::kInternal, other.what());
  }
  if (group.size == 1) {
    if (error) throw Error(*error);
    return;
  }
  const std::vector<std::string> outcomes = Everyone(group, Outcome(error, host));
  for (size_t rank = 0; rank < outcomes.size(); ++rank) {
    if (!outcomes[rank].empty()) Rethrow(outcomes[rank], rank);
  }
}

void BroadcastFloats(const WeightGroup& group, int root, std::span<float> values) {
  if (group.size == 1) return;
  for (size_t at = 0; at < values.size(); at += kPieceFloats) {
    const std::span<float> piece = values.subspan(at, std::min(kPieceFloats, values.size() - at));
    if (group.rank == root) {
      group.broadcast(root, std::string(reinterpret_cast<const char*>(piece.data()), piece.size_bytes()));
      continue;
    }
    const std::string bytes = group.broadcast(root, "");
    if (bytes.size() != piece.size_bytes()) {
      throw Error(Code::kPeer, fmt::format("worker {} sent {} bytes of weights at {}, expected {}", root, bytes.size(),
                                           at * sizeof(float), piece.size_bytes()));
    }
    std::memcpy(piece.data(), bytes.data(), bytes.size());
  }
}

}  // namespace hullft::worker
