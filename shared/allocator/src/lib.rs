//! The allocator of every function; `use tillstream_allocator as _;` in its `main.rs` brings it in.
//!
//! A command is some thousand small allocations, most of them in the database client. With mimalloc a
//! command takes a sixth less processor time than with glibc's allocator, and time is what Lambda charges
//! (`infra/decisions/allocator.md`). A crate of its own, since a program has one allocator at most, and
//! tests that count allocations bring theirs.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
