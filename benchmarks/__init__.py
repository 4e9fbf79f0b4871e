"""Programs that measure the emulator: how realistic its reads are, and how fast it makes them."""
