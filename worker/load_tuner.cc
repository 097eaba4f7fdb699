#include "worker/load_tuner.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "common/error.h"
#include "common/log.h"
#include "worker/device.h"
#include "worker/runtime.h"
#include "worker/shared_weights.h"
#ifdef HULLFT_CUDA
#include "worker/cuda/nccl.h"
#endif

namespace hullft::worker {
namespace {

using nlohmann::json;

// What worker 0 tells the others before the weights.
struct Header {
  int64_t elements = 0;
  std::string digest;  // Tuner::digest
};

std::string Encode(const Header& header) {
  return json{{"elements", header.elements}, {"digest", header.digest}}.dump();
}

Header Decode(const std::string& text) {
  const json header = json::parse(text, nullptr, false);
  if (!header.is_object() || !header.contains("elements") || !header.contains("digest")) {
    throw Error(Code::kPeer, "worker 0 sent no header of weights", "every worker must start the same binary");
  }
  return {header["elements"].get<int64_t>(), header["digest"].get<std::string>()};
}

std::string Broadcast(const WeightGroup& group, std::string bytes) {
  return group.size == 1 ? bytes : group.broadcast(0, std::move(bytes));
}

// Memory that already holds the weights, as Tuner::Load wants it.
BaseWeights Filled(std::shared_ptr<float> memory, const Header& header, const std::string& model_dir) {
  BaseWeights base;
  base.filled = true;
  base.digest = header.digest;
  base.memory = [memory = std::move(memory), header, model_dir](int64_t elements) {
    if (elements != header.elements) {
      throw Error(
          Code::kData,
          fmt::format("{}: config.json describes {} weights, worker 0 sent {}", model_dir, elements, header.elements),
          "every worker must see the same model folder");
    }
    return memory;
  };
  return base;
}

std::shared_ptr<float> Memory(const std::shared_ptr<SharedWeights>& shared) {
  return {shared, shared->data()};
}

std::shared_ptr<float> HostMemory(int64_t elements) {
  return {static_cast<float*>(::operator new(static_cast<size_t>(elements) * sizeof(float), std::align_val_t(64))),
          [](float* memory) { ::operator delete(memory, std::align_val_t(64)); }};
}

// Worker 0's tuner, from the checkpoint; `shared` gets its memory when there are others on its node to share it with.
std::unique_ptr<Tuner> Read(const TunerOptions& options, bool share, std::shared_ptr<SharedWeights>* shared) {
  if (!share) return Tuner::Load(options);
  BaseWeights base;
  base.memory = [shared](int64_t elements) {
    *shared = SharedWeights::Create(elements);
    return Memory(*shared);
  };
  std::unique_ptr<Tuner> tuner = Tuner::Load(options, base);
  (*shared)->Seal();
  return tuner;
}

// Null where the first worker of the node is out of reach, for example in a container of its own: then this worker
// reads the checkpoint itself.
std::shared_ptr<float> Map(const std::string& handle, int64_t elements) {
  try {
    return Memory(SharedWeights::Open(handle, elements));
  } catch (const Error& error) {
    spdlog::warn("{}: reading the checkpoint again, into memory of this process", error.what());
    return nullptr;
  }
}

std::unique_ptr<Tuner> LoadOnCpus(const TunerOptions& options, const WeightExchange& exchange) {
  const bool root = exchange.all.rank == 0, leader = exchange.node.rank == 0, share = exchange.node.size > 1;
  std::unique_ptr<Tuner> tuner;
  std::shared_ptr<SharedWeights> shared;
  Together(exchange.all, exchange.host, [&] {
    if (root) tuner = Read(options, share, &shared);
  });
  const Header header =
      Decode(Broadcast(exchange.all, root ? Encode({tuner->base_elements(), tuner->digest()}) : std::string()));
  std::shared_ptr<float> memory;
  Together(exchange.all, exchange.host, [&] {
    if (root || !leader) return;
    if (share) shared = SharedWeights::Create(header.elements);
    memory = share ? Memory(shared) : HostMemory(header.elements);
  });
  if (leader) {
    float* const values = root ? tuner->base() : memory.get();
    BroadcastFloats(exchange.leaders, 0, {values, static_cast<size_t>(header.elements)});
    if (shared && !root) shared->Seal();
  }
  const std::string handle = share ? Broadcast(exchange.node, leader ? shared->handle() : std::string()) : "";
  Together(exchange.all, exchange.host, [&] {
    if (root) return;
    if (!leader) memory = Map(handle, header.elements);
    BaseWeights own;
    own.digest = header.digest;
    tuner = Tuner::Load(options, memory ? Filled(memory, header, options.model_dir) : own);
  });
  return tuner;
}

#ifdef HULLFT_CUDA
// Device memory of the same allocator as the tuner's other tensors.
std::shared_ptr<float> DeviceMemory(int64_t elements, at::Device device) {
  const at::Tensor tensor = at::empty({elements}, at::TensorOptions(at::kFloat).device(device));
  return {tensor.mutable_data_ptr<float>(), [tensor](float*) {}};
}

// By the exchange, through the host's memory.
void BroadcastThroughHost(const WeightExchange& exchange, float* values, int64_t elements, at::Device device) {
  const at::Tensor host = at::empty({elements}, at::kFloat);
  const at::Tensor on_device = at::from_blob(values, {elements}, at::TensorOptions(at::kFloat).device(device));
  if (exchange.all.rank == 0) host.copy_(on_device);
  BroadcastFloats(exchange.all, 0, {host.mutable_data_ptr<float>(), static_cast<size_t>(elements)});
  if (exchange.all.rank != 0) on_device.copy_(host);
}

std::unique_ptr<Tuner> LoadOnGpus(const TunerOptions& options, const WeightExchange& exchange, at::Device device,
                                  bool use_nccl) {
  const bool root = exchange.all.rank == 0;
  std::unique_ptr<Tuner> tuner;
  std::string id;
  Together(exchange.all, exchange.host, [&] {
    if (!root) return;
    tuner = Tuner::Load(options);
    if (use_nccl) id = NcclGroup::NewId();
  });
  const Header header =
      Decode(Broadcast(exchange.all, root ? Encode({tuner->base_elements(), tuner->digest()}) : std::string()));
  id = Broadcast(exchange.all, id);
  std::shared_ptr<float> memory;
  Together(exchange.all, exchange.host, [&] {
    CallTorch([&] {
      if (!root) memory = DeviceMemory(header.elements, device);
      SynchronizeDevice(device);  // NCCL uses a stream of its own
    });
  });
  float* const values = root ? tuner->base() : memory.get();
  if (use_nccl) {
    NcclGroup(id, exchange.all.rank, exchange.all.size, device.index(), exchange.timeout)
        .Broadcast(values, header.elements, 0);
  } else {
    CallTorch([&] { BroadcastThroughHost(exchange, values, header.elements, device); });
  }
  Together(exchange.all, exchange.host, [&] {
    if (!root) tuner = Tuner::Load(options, Filled(memory, header, options.model_dir));
  });
  return tuner;
}
#endif

}  // namespace

std::unique_ptr<Tuner> LoadTunerShared(const TunerOptions& options, const WeightExchange& exchange) {
  if (exchange.all.size == 1) return Tuner::Load(options);
  HULLFT_CHECK((exchange.all.rank == 0) <= (exchange.node.rank == 0));
  HULLFT_CHECK(exchange.node.rank > 0 || (exchange.all.rank == 0) == (exchange.leaders.rank == 0));
  at::Device device = at::kCPU;
  std::string identity;
  Together(exchange.all, exchange.host, [&] {
    device = ParseDevice(options.device);
    InitDevice(device, options.precision == "tf32");
    identity = exchange.host + " " + DeviceIdentity(device);
  });
  const std::vector<std::string> identities = Everyone(exchange.all, identity);
  const auto cpus = std::ranges::count_if(identities, [](const std::string& text) { return text.ends_with(" cpu"); });
  if (cpus != 0 && cpus != exchange.all.size) {
    throw Error(Code::kUsage, fmt::format("{} workers are on CPUs and {} on GPUs", cpus, exchange.all.size - cpus),
                "give all workers GPUs, or none");
  }
  if (cpus != 0) return LoadOnCpus(options, exchange);
#ifdef HULLFT_CUDA
  const size_t gpus = std::set<std::string>(identities.begin(), identities.end()).size();
  const c10::DeviceGuard guard(device);
  return LoadOnGpus(options, exchange, device, gpus == identities.size());
#else
  throw Error(Code::kInternal, "a GPU in a build without CUDA");
#endif
}

}  // namespace hullft::worker
