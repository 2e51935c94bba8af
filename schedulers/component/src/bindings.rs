//! The contract as `wit-bindgen` writes it in Rust: the world that fits the policy.

#[cfg(not(reads_requests))]
wit_bindgen::generate!({
    path: "../../wit/0.1.0",
    world: "batch-policy",
    pub_export_macro: true,
});

#[cfg(reads_requests)]
wit_bindgen::generate!({
    path: "../../wit/0.1.0",
    world: "request-policy",
    pub_export_macro: true,
});
