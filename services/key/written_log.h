// Decision logs written by hand, from docs/formats/decision-log.md and not by the code that reads
// them: with any times, and in the format from before there were charges.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "services/key/decision_log.h"

namespace bauta::key {

class WrittenLog {
 public:
  enum class Format { before_charges, present };

  void add(const LogEntry& entry, int64_t time_ms, Format format = Format::present) {
    ByteWriter payload;
    payload.u64(++sequence_);
    payload.u64(static_cast<uint64_t>(time_ms));
    payload.u8(static_cast<uint8_t>(entry.event));
    payload.u8(static_cast<uint8_t>(entry.outcome));
    payload.u8(static_cast<uint8_t>(entry.note));
    payload.raw(entry.key);
    payload.raw(entry.nonce);
    for (const std::string* name : {&entry.gallery, &entry.edge_id}) {
      payload.u32(static_cast<uint32_t>(name->size()));
      payload.raw(as_bytes(*name));
    }
    if (format == Format::present) {
      payload.raw(entry.person);
      payload.raw(std::array<uint8_t, 12>{});
      payload.u8(static_cast<uint8_t>(entry.charge));
      payload.u32(entry.positions);
      payload.u32(entry.bits);
    }
    const Bytes bytes = std::move(payload).take();
    const ByteView parts[] = {digest_, bytes};
    digest_ = sha256(parts);
    log_.u32(static_cast<uint32_t>(bytes.size()));
    log_.u32(~static_cast<uint32_t>(bytes.size()));
    log_.raw(bytes);
    log_.raw(digest_);
  }
  Status save(const std::filesystem::path& directory) const {
    ByteWriter file;
    file.raw(as_bytes("BAUTALOG1\n"));
    file.raw(log_.bytes());
    return write_file_atomically(directory / "decisions.log", file.bytes(), 0600);
  }

 private:
  uint64_t sequence_ = 0;
  Digest digest_{};
  ByteWriter log_;
};

}  // namespace bauta::key
