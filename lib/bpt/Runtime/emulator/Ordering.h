// Which events of a block happen before which, over mbarriers, named barriers and warp barriers.
//
// Events carry the block's time, which advances with every release. What a thread knows is a vector with one component
// a thread (events of that thread up to this time happened before), one a mbarrier (phases known to be complete, with
// the copies that completed them), one a warpgroup (wgmma groups known to be finished), one a thread that issues
// bulk stores (store groups whose source has been read), and one a named barrier (completions known of).
//
// A thread does not keep such a vector. It keeps the snapshots that it acquired: each synchronisation object
// accumulates a message from the threads that release to it, and publishes it as a snapshot when a phase is complete.
// Messages only grow, so of each object a thread needs the last snapshot only; and a release needs to add only the
// snapshots that the message does not contain yet. That makes releases and acquires of a whole warpgroup cost a few
// comparisons a thread.
//
// For the proxies there is a second vector, "proxied": events with a proxy fence between them and the thread (PTX
// ISA 8.7, 8.5.7: the fence may stand anywhere on the path).
#pragma once
#include <cstdint>
#include <vector>

namespace bpt::emulator {

constexpr uint32_t maxBlockThreads = 1024, maxWarps = 32, maxWarpgroups = 8;
constexpr uint32_t maxMbarriers = 64;     ///< of the emulator; kernels use far fewer
constexpr uint32_t maxNamedBarriers = 16; ///< of the hardware
constexpr uint32_t maxStoreThreads = 32;  ///< threads of a block that issue bulk stores, of the emulator

class Ordering {
public:
  ~Ordering();

  /// Forgets everything; the block has `threads` threads.
  void reset(uint32_t threads);

  // Synchronisation objects.
  static uint32_t mbarrier(uint32_t index) { return index; }
  static uint32_t namedBarrier(uint32_t id) { return maxMbarriers + id; }
  static uint32_t warpBarrier(uint32_t warp) { return maxMbarriers + maxNamedBarriers + warp; }
  static constexpr uint32_t objects = maxMbarriers + maxNamedBarriers + maxWarps;

  // Components beyond the threads' own.
  uint32_t phases(uint32_t mbarrier) const { return threadCount + mbarrier; }
  uint32_t groups(uint32_t warpgroup) const { return threadCount + maxMbarriers + warpgroup; }
  uint32_t stores(uint32_t slot) const { return threadCount + maxMbarriers + maxWarpgroups + slot; }
  uint32_t completions(uint32_t namedBarrier) const { return stores(maxStoreThreads) + namedBarrier; }

  /// The time that events of now get.
  uint32_t now() const { return time; }

  /// What `thread` did and knows goes into the object's message.
  void release(uint32_t thread, uint32_t object);
  /// Sets a component of the object's message directly (phases of an mbarrier).
  void setComponent(uint32_t object, uint32_t component, uint32_t value);
  /// A phase of the object is complete: its message becomes what acquires get.
  void publish(uint32_t object);
  /// `thread` knows what was published last; nothing happens where nothing was.
  void acquire(uint32_t thread, uint32_t object);
  /// `thread` did something of its own that others will rely on: groups of its warpgroup, stores of its slot.
  void advance(uint32_t thread, uint32_t component, uint32_t value);
  /// A proxy fence of `thread`.
  void fence(uint32_t thread);

  /// What `thread` knows of `component`; of its own component everything.
  uint32_t known(uint32_t thread, uint32_t component) const;
  /// Events of `other` up to this time happened before with a proxy fence between.
  uint32_t knownProxied(uint32_t thread, uint32_t other) const;
  /// The two threads know the same, but for what they did themselves.
  bool sameKnowledge(uint32_t a, uint32_t b) const;

private:
  /// An immutable message. `before` has every component, `proxied` only the threads'.
  struct Snapshot {
    uint32_t references = 0, object = 0, sequence = 0;
    std::vector<uint32_t> before, proxied;
  };
  struct Message {
    bool used = false;
    uint32_t sequence = 0;
    std::vector<uint32_t> before, proxied;
    /// Sequence + 1 of the last snapshot of each object that is in `before`, and by way of a fence in `proxied`.
    uint32_t contained[objects] = {}, containedFenced[objects] = {};
    Snapshot *latest = nullptr;
  };
  struct Own {
    uint32_t component, value;
  };
  struct Knowledge {
    std::vector<Snapshot *> held, fenced;
    uint32_t fenceTime = 0;
    std::vector<Own> own;
  };

  Message &message(uint32_t object);
  Snapshot *take();
  void drop(Snapshot *snapshot);
  void hold(std::vector<Snapshot *> &list, Snapshot *snapshot);

  uint32_t threadCount = 0, components = 0, time = 1;
  std::vector<Knowledge> threads;
  std::vector<Message> messages;
  std::vector<Snapshot *> all, idle;
};

} // namespace bpt::emulator
