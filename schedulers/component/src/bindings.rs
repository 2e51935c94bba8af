//! The contract as `wit-bindgen` writes it in Rust.

wit_bindgen::generate!({
    path: "../../wit/0.1.0",
    world: "batch-policy",
    pub_export_macro: true,
});
