//! The worker process: chunk store, CPU pool and transfer around the worker engine.
