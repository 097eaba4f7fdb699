// How the workers of a run hand each other the base weights, over whatever carries bytes between them (MPI, threads):
// the caller gives the transport as functions, because worker/ knows nothing of comm/. No Torch here.
//
// Thread safety: one thread per exchange; all functions below are collective over their group.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "worker/tuner.h"

namespace hullft::worker {

// Ranks that broadcast to each other. The default: alone.
struct WeightGroup {
  int rank = 0, size = 1;
  // Collective: the bytes of `root`, on every rank (what the others pass is ignored). Must not wait without a deadline.
  std::function<std::string(int root, std::string bytes)> broadcast;
};

// The workers that tune the same model. Each group is ordered as the workers are, so that worker 0 is the first of its
// node and of the leaders.
struct WeightExchange {
  WeightGroup all;                                              // every worker
  WeightGroup node;                                             // the workers of this host
  WeightGroup leaders;                                          // the first worker of each host; not used on the others
  std::string host;                                             // for messages and to tell GPUs apart
  std::chrono::milliseconds timeout = std::chrono::minutes(5);  // of a step of NCCL's
};

// Every rank's text, in the order of the ranks.
std::vector<std::string> Everyone(const WeightGroup& group, const std::string& mine);

// Runs body on every rank; when it threw anywhere, every rank throws the error of the first rank where it did, with the
// same code and its host. Without it the others would wait for a rank that is gone. body must not be collective.
void Together(const WeightGroup& group, const std::string& host, const std::function<void()>& body);

// root's values on every rank, in pieces of 64 MiB.
void BroadcastFloats(const WeightGroup& group, int root, std::span<float> values);

}  // namespace hullft::worker
