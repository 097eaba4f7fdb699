// Devices by name: "cpu", "cuda" (the first GPU), "cuda:N". What differs between them beyond ATen's own dispatch.
//
// Thread safety: free functions; InitDevice changes settings of the whole process, call it before models are loaded.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace hullft::worker {

// Throws kUsage for a name that is none of these, a GPU in a build without CUDA, and a GPU that this machine does not
// have ("device 'cuda:3': this machine has 0 GPUs"). The result always has an index on a GPU.
c10::Device ParseDevice(const std::string& name);

// The name of the device for a machine's worker number `node_rank` (from 0) under the wish: "auto" deals the GPUs that
// this process sees out in turn, and is "cpu" where there are none; any other wish is the name itself.
std::string ChooseDevice(const std::string& wish, int node_rank);

// What tells devices of a machine apart: "cpu", or the GPU's bus address, which is the same under any
// CUDA_VISIBLE_DEVICES.
std::string DeviceIdentity(c10::Device device);

// For a GPU: deterministic kernels only, no work-space of random content, float32 products in float32, or in TF32
// (10 bits of mantissa, about 3 times as fast) when asked for, and memory in segments that grow (expandable_segments,
// unless PYTORCH_ALLOC_CONF or PYTORCH_CUDA_ALLOC_CONF says otherwise). Of the whole process. Nothing for the CPU.
void InitDevice(c10::Device device, bool tf32);

// What the bits of a result depend on besides its inputs and this program: the device with its processor, threads
// (CPU), the precision of matrix products, the libraries.
std::string Arithmetic(c10::Device device, int threads, const std::string& precision);

// Bytes that this process may still take there; -1: the system does not say. For the CPU: FreeHostMemory.
int64_t FreeMemory(c10::Device device);

// Waits until everything that this thread gave the device is done. Nothing on the CPU.
void SynchronizeDevice(c10::Device device);

}  // namespace hullft::worker
