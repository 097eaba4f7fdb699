// The tuners of a run's workers with one read of the checkpoint in all.
//
// Worker 0 reads. On CPUs the bytes go to the first worker of every other host, and the workers of a host share one
// copy of the base weights (shared_weights.h). On GPUs they go from GPU to GPU by ncclBroadcast, whose id travels by
// the exchange; where two workers have one GPU, which NCCL refuses, by the exchange too. Every worker needs config.json
// and checks the digest of what came.
#pragma once

#include <memory>

#include "worker/tuner.h"
#include "worker/weight_exchange.h"

namespace hullft::worker {

// Collective over exchange.all. The workers must be all on CPUs or all on GPUs (kUsage; otherwise make one exchange for
// each kind). A failure of one worker is thrown on all, naming it; a worker that is gone is the transport's kPeer, or
// NCCL's after exchange.timeout. Alone: Tuner::Load.
std::unique_ptr<Tuner> LoadTunerShared(const TunerOptions& options, const WeightExchange& exchange);

}  // namespace hullft::worker
