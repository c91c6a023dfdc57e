"""The pages in a real browser, over the real API, a real Valkey and real workers whose engine is quick."""
