#include "worker/torch_errors.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "common/error.h"

namespace hullft::worker {
namespace {

Error MemoryError(std::string_view doing) {
  return Error(Code::kMemory, fmt::format("out of memory while {}", doing),
               "use a smaller model, a shorter --max-length or fewer workers on this machine");
}

}  // namespace

void RethrowTorchError(std::string_view doing) {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw MemoryError(doing);
  } catch (const c10::OutOfMemoryError&) {
    throw MemoryError(doing);
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    // The CPU allocator has no exception class of its own.
    if (text.find("can't allocate memory") != std::string::npos ||
        text.find("not enough memory") != std::string::npos) {
      throw MemoryError(doing);
    }
    throw Error(Code::kInternal, fmt::format("Torch failed while {}: {}", doing, text));
  }
}

}  // namespace hullft::worker
