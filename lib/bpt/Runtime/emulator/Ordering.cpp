// Happens-before as snapshots of messages; Ordering.h has the idea.
#include "Ordering.h"
#include <algorithm>
#include <limits>

namespace bpt::emulator {

static void join(std::vector<uint32_t> &into, const std::vector<uint32_t> &from, size_t count) {
  uint32_t *to = into.data();
  const uint32_t *source = from.data();
  for (size_t i = 0; i < count; ++i)
    to[i] = std::max(to[i], source[i]);
}

Ordering::~Ordering() {
  for (Snapshot *snapshot : all)
    delete snapshot;
}

void Ordering::reset(uint32_t count) {
  threadCount = count;
  components = completions(maxNamedBarriers);
  time = 1;
  threads.resize(std::max<size_t>(threads.size(), count));
  for (Knowledge &thread : threads) {
    thread.held.clear();
    thread.fenced.clear();
    thread.own.clear();
    thread.fenceTime = 0;
  }
  messages.resize(objects);
  for (Message &message : messages)
    message.used = false;
  idle = all;
}

Ordering::Message &Ordering::message(uint32_t object) {
  Message &message = messages[object];
  if (message.used)
    return message;
  message.used = true;
  message.sequence = 0;
  message.latest = nullptr;
  message.before.assign(components, 0);
  message.proxied.assign(threadCount, 0);
  std::fill(std::begin(message.contained), std::end(message.contained), 0);
  std::fill(std::begin(message.containedFenced), std::end(message.containedFenced), 0);
  return message;
}

Ordering::Snapshot *Ordering::take() {
  if (idle.empty()) {
    all.push_back(new Snapshot);
    return all.back();
  }
  Snapshot *snapshot = idle.back();
  idle.pop_back();
  snapshot->references = 0;
  return snapshot;
}

void Ordering::drop(Snapshot *snapshot) {
  if (--snapshot->references == 0)
    idle.push_back(snapshot);
}

void Ordering::hold(std::vector<Snapshot *> &list, Snapshot *snapshot) {
  ++snapshot->references;
  for (Snapshot *&entry : list)
    if (entry->object == snapshot->object) {
      drop(entry);
      entry = snapshot;
      return;
    }
  list.push_back(snapshot);
}

void Ordering::release(uint32_t thread, uint32_t object) {
  Message &to = message(object);
  const Knowledge &from = threads[thread];
  for (const Snapshot *snapshot : from.held)
    if (to.contained[snapshot->object] <= snapshot->sequence) {
      to.contained[snapshot->object] = snapshot->sequence + 1;
      join(to.before, snapshot->before, components);
      join(to.proxied, snapshot->proxied, threadCount);
    }
  for (const Snapshot *snapshot : from.fenced)
    if (to.containedFenced[snapshot->object] <= snapshot->sequence) {
      to.containedFenced[snapshot->object] = snapshot->sequence + 1;
      join(to.proxied, snapshot->before, threadCount);
    }
  for (const Own &own : from.own)
    to.before[own.component] = std::max(to.before[own.component], own.value);
  to.before[thread] = time++;
  to.proxied[thread] = std::max(to.proxied[thread], from.fenceTime);
}

void Ordering::setComponent(uint32_t object, uint32_t component, uint32_t value) {
  uint32_t &to = message(object).before[component];
  to = std::max(to, value);
}

void Ordering::publish(uint32_t object) {
  Message &from = message(object);
  if (from.latest)
    drop(from.latest);
  Snapshot *snapshot = take();
  snapshot->references = 1;
  snapshot->object = object;
  snapshot->sequence = from.sequence++;
  snapshot->before = from.before;
  snapshot->proxied = from.proxied;
  from.latest = snapshot;
}

void Ordering::acquire(uint32_t thread, uint32_t object) {
  if (Snapshot *latest = message(object).latest)
    hold(threads[thread].held, latest);
}

void Ordering::advance(uint32_t thread, uint32_t component, uint32_t value) {
  for (Own &own : threads[thread].own)
    if (own.component == component) {
      own.value = std::max(own.value, value);
      return;
    }
  threads[thread].own.push_back({component, value});
}

void Ordering::fence(uint32_t thread) {
  Knowledge &knowledge = threads[thread];
  for (Snapshot *snapshot : knowledge.held)
    hold(knowledge.fenced, snapshot);
  knowledge.fenceTime = time++; // writes after the fence are later than it
}

uint32_t Ordering::known(uint32_t thread, uint32_t component) const {
  if (component == thread)
    return std::numeric_limits<uint32_t>::max();
  const Knowledge &knowledge = threads[thread];
  uint32_t value = 0;
  for (const Snapshot *snapshot : knowledge.held)
    value = std::max(value, snapshot->before[component]);
  for (const Own &own : knowledge.own)
    if (own.component == component)
      value = std::max(value, own.value);
  return value;
}

uint32_t Ordering::knownProxied(uint32_t thread, uint32_t other) const {
  const Knowledge &knowledge = threads[thread];
  uint32_t value = other == thread ? knowledge.fenceTime : 0;
  for (const Snapshot *snapshot : knowledge.held)
    value = std::max(value, snapshot->proxied[other]);
  for (const Snapshot *snapshot : knowledge.fenced)
    value = std::max(value, snapshot->before[other]);
  return value;
}

bool Ordering::sameKnowledge(uint32_t a, uint32_t b) const {
  return threads[a].held == threads[b].held && threads[a].fenced == threads[b].fenced;
}

} // namespace bpt::emulator
