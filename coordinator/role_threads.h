// The threads that a rank's roles run on. A role's error ends the run: the coordinator hears it, and Join throws it
// here.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include "common/comm/communicator.h"
#include "common/log.h"
#include "coordinator/message_io.h"

namespace hullft::coordinator {

// Runs a role on a thread; what it throws ends the run through the coordinator.
class RoleThread {
 public:
  template <class Role>
  RoleThread(comm::Communicator& world, Role& role)
      : thread_([this, &world, &role] {
          try {
            role.Run();
          } catch (const std::exception& error) {
            error_ = std::current_exception();
            try {
              SendMessage(world, 0, kToCoordinator, Fatal{Failure::From(error)});
            } catch (const std::exception& also) {
              spdlog::error("rank {}: {} (and the coordinator cannot be told: {})", world.rank(), error.what(),
                            also.what());
            }
          }
        }) {}
  ~RoleThread() {
    if (thread_.joinable()) thread_.join();
  }
  RoleThread(const RoleThread&) = delete;
  RoleThread& operator=(const RoleThread&) = delete;
  void Join() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
  std::thread thread_;  // last: starts when everything else is there
};

// Takes a signal of another rank than the coordinator's to it, while this object lives.
class StopMessenger {
 public:
  StopMessenger(comm::Communicator& world, const std::atomic<int>* stop)
      : thread_([&world, stop](const std::stop_token& end) {
          while (!end.stop_requested()) {
            if (const int signal = stop->load(); signal != 0)
              return SendMessage(world, 0, kToCoordinator, StopRequest{signal});
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
          }
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace hullft::coordinator
