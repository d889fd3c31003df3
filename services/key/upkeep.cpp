#include "services/key/upkeep.h"

#include "base/clock.h"

namespace bauta::key {

Upkeep::Upkeep(KeyServer& server, Warn warn, std::chrono::milliseconds period)
    : server_(server), warn_(std::move(warn)) {
  look();
  thread_ = std::jthread([this, period](const std::stop_token& stop) {
    std::mutex waiting;
    std::unique_lock lock(waiting);
    while (!stopping_.wait_for(lock, stop, period, [&] { return stop.stop_requested(); })) look();
  });
}

Upkeep::~Upkeep() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

Status Upkeep::ready() const {
  std::lock_guard lock(mutex_);
  return state_;
}

void Upkeep::warn_once(const std::string& about, const std::string& sentence) {
  if (said_.insert(about).second) warn_(sentence);
}

void Upkeep::warn_once(const std::string& sentence) {
  warn_once(sentence, sentence);
}

void Upkeep::look() {
  Status state = server_.check_ready();
  double fullest = 0;
  if (const Result<std::vector<keys::KeyRecord>> records = server_.store().list(); records.ok()) {
    for (const keys::KeyRecord& key : *records) {
      if (key.state() != keys::KeyState::active || key.evaluation) continue;
      look_at(key);
      const double share = server_.ledger().usage(key).share();
      // A key that has just rotated counts no more.
      const Result<keys::KeyRecord> now = server_.store().find(key.id);
      if (!now.ok() || now->state() != keys::KeyState::active) continue;
      fullest = std::max(fullest, share);
      if (share >= 1 && state.ok())
        state = make_error(ErrorCode::unavailable,
                           "key {} of tenant '{}' has given all answers of its budget",
                           key.generation, key.tenant);
    }
  } else if (state.ok()) {
    state = records.error();
  }
  fullest_ = fullest;
  if (const Ledger::Nearest nearest = server_.ledger().nearest_to_lock(); nearest.warned > 0)
    warn_once(
        fmt::format("{} people have used up half of the answers near the threshold after "
                    "which they are locked; enrol them anew with better pictures: 'bauta keys "
                    "locks' names their digests",
                    nearest.warned));
  std::lock_guard lock(mutex_);
  state_ = std::move(state);
}

bool Upkeep::may_rotate(const keys::KeyRecord& key, const KeyUsage& usage) {
  const std::string name = fmt::format("key {} of tenant '{}'", key.generation, key.tenant);
  if (usage.crimes > 0) {
    warn_once(
        fmt::format("{} does not rotate by itself: {} crafted requests are on record; look at "
                    "them by 'bauta audit decisions', then rotate by hand",
                    name, usage.crimes));
    return false;
  }
  if (usage.decisions_by_edge.size() > 1)
    for (const auto& [edge, decisions] : usage.decisions_by_edge)
      if (static_cast<double>(decisions) >
          kGreedyEdge * static_cast<double>(usage.decision_budget)) {
        warn_once(
            fmt::format("{} does not rotate by itself: edge {} alone has used over half of "
                        "its budget",
                        name, edge));
        return false;
      }
  const int64_t since_ms = now_ms() - server_.ledger().rotated_by_itself_at_ms(key.tenant);
  if (std::chrono::milliseconds(since_ms) >= kRotateEvery) return true;
  warn_once(
      fmt::format("{} does not rotate by itself: it did so within the week; rotate by hand by "
                  "'bauta keys rotate', or raise the budget",
                  name));
  return false;
}

void Upkeep::look_at(const keys::KeyRecord& key) {
  const KeyUsage usage = server_.ledger().usage(key);
  const double share = usage.share();
  for (const double limit : kWarnAt)
    if (share >= limit)
      warn_once(fmt::format("{} {} {}", key.tenant, key.generation, limit),
                fmt::format("key {} of tenant '{}' has used {:.0f} % of its budget ({} of {} "
                            "decisions, {} of {} bits)",
                            key.generation, key.tenant, 100 * limit, usage.decisions,
                            usage.decision_budget, usage.bits, usage.bit_budget));
  if (usage.decisions_by_edge.size() > 1)
    for (const auto& [edge, decisions] : usage.decisions_by_edge)
      if (static_cast<double>(decisions) >
          kGreedyEdge * static_cast<double>(usage.decision_budget)) {
        const Status stopped = server_.ledger().stop_edge(key.id, edge);
        warn_once(stopped.ok() ? fmt::format("edge {} is stopped: it has used over half of the "
                                             "budget of key {} of tenant '{}'",
                                             edge, key.generation, key.tenant)
                               : stopped.error().message);
      }
  if (share < kRotateAt || !may_rotate(key, usage)) return;
  const Status rotated = server_.rotate_by_itself(key);
  warn_once(rotated.ok()
                ? fmt::format("tenant '{}' has a new key in place of {}, whose budget nears "
                              "its end; its galleries are renewed now",
                              key.tenant, key.generation)
                : fmt::format("key {} of tenant '{}' does not rotate: {}", key.generation,
                              key.tenant, rotated.error().message));
}

}  // namespace bauta::key
