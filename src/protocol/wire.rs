//! The messages of `proto/`, as prost generates them, and their proto3 JSON mapping by pbjson.
#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/pianorhythm.v1.rs"));
include!(concat!(env!("OUT_DIR"), "/pianorhythm.v1.serde.rs"));

/// The descriptors of all messages, a serialised `FileDescriptorSet`, for reflection and for the test of the schema.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
