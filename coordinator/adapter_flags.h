// The flags of a worker::Tuner that several commands have: of low-rank adapters, and of CUDA graphs.
#pragma once

#include "common/options.h"
#include "worker/adapter_options.h"

namespace hullft::coordinator {

// The table and `adapter` must live equally long.
inline void BindAdapter(OptionTable* table, worker::AdapterOptions* adapter) {
  table->Add("adapter", &adapter->kind, "what is trained: none (all weights) or lora (low-rank additions to --target)")
      .OneOf({"none", "lora"});
  table->Add("rank", &adapter->rank, "of the adapters").Range(1, 65536);
  table->Add("lora-alpha", &adapter->alpha, "the adapters' part is scaled by alpha / rank").Range(1e-6, 1e6);
  table->Add("target", &adapter->targets,
             "projections with an adapter, of q, k, v, o, up, down and (Llama family) gate, with commas");
}

// Not part of the result: a recorded pass launches the kernels that it was recorded from.
inline void BindCudaGraphs(OptionTable* table, bool* cuda_graphs) {
  table
      ->Add("cuda-graphs", cuda_graphs,
            "on a GPU: record the gradient's kernels for each length of sequence that repeats, and launch them as one; "
            "not yet tried on a GPU (docs/limits.md)")
      .NotPartOfResult();
}

}  // namespace hullft::coordinator
