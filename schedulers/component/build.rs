//! Makes `Policy` the algorithm that `EQUIPOISE_POLICY` names, and says whether it reads requests.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use equipoise_schedulers::registry;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=EQUIPOISE_POLICY");
    let name = env::var("EQUIPOISE_POLICY")
        .map_err(|_| "EQUIPOISE_POLICY must name a policy, for example wlc")?;
    let entry = registry::find(&name).ok_or_else(|| format!("there is no policy `{name}`"))?;
    println!("cargo::rustc-check-cfg=cfg(reads_requests)");
    if entry.reads_requests {
        println!("cargo::rustc-cfg=reads_requests");
    }
    // The algorithm in `least_time.rs` is `LeastTime`.
    let capitalised = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    let algorithm: String = name.split('_').map(capitalised).collect();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("policy.rs"),
        format!("type Policy = equipoise_schedulers::policies::{name}::{algorithm};\n"),
    )?;
    Ok(())
}
