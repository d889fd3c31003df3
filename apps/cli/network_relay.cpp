#include "apps/cli/network_relay.h"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"

namespace bauta::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr size_t kChunk_bytes = 16 << 10;
constexpr size_t kMaxOnTheWay = 256;  // chunks of one direction

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor_; }
  // Wakes who reads or writes it.
  void shut() const { shutdown(descriptor_, SHUT_RDWR); }

 private:
  const int descriptor_;
};

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// One direction of the line, which all connections share.
class Line {
 public:
  explicit Line(const NetworkProfile& profile) : profile_(profile) {}

  // When what is sent now arrives.
  Clock::time_point arrival(size_t bytes) {
    std::lock_guard lock(mutex_);
    free_ = std::max(free_, Clock::now());
    if (profile_.megabits_per_s > 0)
      free_ += to_clock(static_cast<double>(bytes) * 8 / (profile_.megabits_per_s * 1e6));
    return free_ + to_clock(profile_.delay_ms / 1000);
  }

 private:
  static Clock::duration to_clock(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
  }

  const NetworkProfile profile_;
  std::mutex mutex_;
  Clock::time_point free_;  // the last byte has left by then
};

// One direction of one connection.
class Pump {
 public:
  Pump(const Socket& from, const Socket& to, Line& line)
      : from_(from), to_(to), line_(line), reading_([this] { read_all(); }), writing_([this] {
          write_all();
        }) {}
  ~Pump() {
    reading_.join();
    writing_.join();
  }

 private:
  struct Chunk {
    Clock::time_point arrival;
    Bytes bytes;  // none: the end
  };

  void read_all() {
    for (bool end = false; !end;) {
      Bytes bytes(kChunk_bytes);
      const ssize_t count = recv(from_.get(), bytes.data(), bytes.size(), 0);
      bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
      end = bytes.empty();
      const Clock::time_point arrival = line_.arrival(bytes.size());
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return on_the_way_.size() < kMaxOnTheWay; });
      on_the_way_.push_back({arrival, std::move(bytes)});
      changed_.notify_all();
    }
  }

  void write_all() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !on_the_way_.empty(); });
      const Chunk chunk = std::move(on_the_way_.front());
      on_the_way_.pop_front();
      changed_.notify_all();
      lock.unlock();
      std::this_thread::sleep_until(chunk.arrival);
      if (chunk.bytes.empty()) break;
      for (size_t sent = 0; sent < chunk.bytes.size();) {
        const ssize_t count =
            send(to_.get(), chunk.bytes.data() + sent, chunk.bytes.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) {  // the other end is gone: nothing more needs to be read
          from_.shut();
          break;
        }
        sent += static_cast<size_t>(count);
      }
    }
    shutdown(to_.get(), SHUT_WR);
  }

  const Socket& from_;
  const Socket& to_;
  Line& line_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Chunk> on_the_way_;
  std::thread reading_, writing_;
};

struct Connection {
  Connection(int near, int far, Line& out, Line& back)
      : near_end(near),
        far_end(far),
        there(near_end, far_end, out),
        here(far_end, near_end, back) {}
  void shut() const {
    near_end.shut();
    far_end.shut();
  }

  Socket near_end, far_end;
  Pump there, here;
};

}  // namespace

class NetworkRelay::Listener {
 public:
  Listener(int descriptor, int port, int to_port, const NetworkProfile& profile)
      : socket_(descriptor),
        port_(port),
        to_port_(to_port),
        out_(profile),
        back_(profile),
        thread_([this] { accept_all(); }) {}
  ~Listener() {
    socket_.shut();
    thread_.join();
    for (const Connection& connection : connections_) connection.shut();
  }

  int port() const { return port_; }

 private:
  void accept_all() {
    for (int near = 0; (near = accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      const int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = loopback(to_port_);
      if (far < 0 ||
          connect(far, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (far >= 0) close(far);
        close(near);
        continue;
      }
      const int yes = 1;
      setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      connections_.emplace_back(near, far, out_, back_);
    }
  }

  const Socket socket_;
  const int port_, to_port_;
  Line out_, back_;
  std::list<Connection> connections_;  // of the thread until it ends
  std::thread thread_;
};

NetworkRelay::NetworkRelay(std::unique_ptr<Listener> listener) : listener_(std::move(listener)) {}
NetworkRelay::~NetworkRelay() = default;

int NetworkRelay::port() const {
  return listener_->port();
}

Result<std::unique_ptr<NetworkRelay>> NetworkRelay::start(int to_port,
                                                          const NetworkProfile& profile) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (descriptor < 0 || bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(descriptor, SOMAXCONN) != 0 ||
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const Error error =
        make_error(ErrorCode::unavailable, "cannot listen on loopback: {}", std::strerror(errno));
    if (descriptor >= 0) close(descriptor);
    return error;
  }
  return std::unique_ptr<NetworkRelay>(new NetworkRelay(
      std::make_unique<Listener>(descriptor, ntohs(address.sin_port), to_port, profile)));
}

}  // namespace bauta::cli
