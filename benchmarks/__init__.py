"""Programs that measure the emulator: how real its reads are, and how fast it makes them."""
