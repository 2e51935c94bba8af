//! The policies, one file each: the build script lists every `src/policies/*.rs` here.
//!
//! `foo.rs` holds the algorithm `Foo`. A new policy needs no other file.

include!(concat!(env!("OUT_DIR"), "/policies.rs"));
