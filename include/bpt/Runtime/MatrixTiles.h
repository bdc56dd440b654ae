// The matrix tiles of a processor (AMX): whether this process may use them, and whether it should.
#pragma once

namespace bpt {

/// Asks the operating system for the state of the tiles, for this process and the threads and children it starts from
/// now on. False: the processor has none, or the system refuses.
bool requestMatrixTiles();

/// Whether products of bf16 by tiles are faster here than f32 multiply-adds of the widest vectors: both are timed once,
/// for less than a millisecond. Asks for the tiles.
bool areMatrixTilesFaster();

} // namespace bpt
