//! The policies in Rust: finds a compiler that knows the target, and builds one component.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};

use super::{Built, debian, finish, rustc};

pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// A compiler for components.
pub(super) struct Compiler {
    version: String,
    /// What cargo needs to use it.
    environment: Vec<(&'static str, OsString)>,
    cargo: Vec<&'static str>,
    rustc: Vec<String>,
}

impl Compiler {
    /// The toolchain at hand if it has the target or rustup can fetch it, else Debian's.
    pub(super) fn find(root: &Path) -> Result<Self> {
        if !has_target()? {
            let fetched = finish(Command::new("rustup").args(["target", "add", TARGET]));
            if fetched.is_err() {
                return debian::compiler(root);
            }
        }
        Ok(Self {
            version: first_line(&finish(Command::new(rustc_program()).arg("--version"))?),
            environment: vec![(LINKER, OsString::from("wasm-component-ld"))],
            cargo: Vec::new(),
            rustc: Vec::new(),
        })
    }

    /// One that brings no library for the target, so that it is built along, and linked by the
    /// toolchain at hand.
    pub(super) fn with_library_source(
        version: String,
        mut environment: Vec<(&'static str, OsString)>,
    ) -> Result<Self> {
        let linker = Linker::find()?.context("rustc has no wasm-component-ld beside it")?;
        environment.push((LINKER, linker.component_ld.into_os_string()));
        Ok(Self {
            version,
            environment,
            cargo: vec!["-Zbuild-std=core,alloc", "-Zbuild-std-features="],
            rustc: vec![format!(
                "-Clink-arg=--wasm-ld-path={}",
                linker.wasm_ld.display()
            )],
        })
    }

    /// Builds the component around one policy. Its bytes depend on the sources and the compiler,
    /// not on the folder that they lie in.
    pub(super) fn build(&self, root: &Path, name: &str) -> Result<Built> {
        let folder = root.join("target/components");
        let output = folder.join(TARGET).join("release/equipoise_component.wasm");
        let mut flags = self.rustc.clone();
        // Loop strength reduction takes the fixed offsets out of loads, which costs the scan over
        // servers a tenth.
        flags.push("-Cllvm-args=-disable-lsr".to_owned());
        flags.push(remap(root, "equipoise"));
        flags.push(remap(&cargo_home()?, "cargo"));
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(root.join("schedulers/component"))
            .args(["build", "--locked", "--release", "--target", TARGET])
            .args(&self.cargo)
            .arg("--target-dir")
            .arg(&folder)
            .env("EQUIPOISE_POLICY", name)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .envs(rustc::environment()?)
            .envs(self.environment.iter().map(|(key, value)| (key, value)));
        finish(&mut cargo).with_context(|| format!("building {name}"))?;
        Ok(Built {
            bytes: fs::read(&output).with_context(|| format!("reading {}", output.display()))?,
            compiler: self.version.clone(),
        })
    }
}

const LINKER: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";

/// The linker that makes components, which comes with rustc.
pub(super) struct Linker {
    component_ld: PathBuf,
    wasm_ld: PathBuf,
}

impl Linker {
    pub(super) fn find() -> Result<Option<Self>> {
        let sysroot = finish(Command::new(rustc_program()).args(["--print", "sysroot"]))?;
        let host = finish(Command::new(rustc_program()).args(["--print", "host-tuple"]))?;
        let tools = Path::new(&first_line(&sysroot))
            .join("lib/rustlib")
            .join(first_line(&host))
            .join("bin");
        let linker = Self {
            component_ld: tools.join("wasm-component-ld"),
            wasm_ld: tools.join("gcc-ld/wasm-ld"),
        };
        Ok(linker.component_ld.is_file().then_some(linker))
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.component_ld);
        command.arg("--wasm-ld-path").arg(&self.wasm_ld);
        command
    }
}

pub(super) fn first_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn has_target() -> Result<bool> {
    let folder = finish(Command::new(rustc_program()).args([
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ]))?;
    Ok(Path::new(&first_line(&folder)).is_dir())
}

fn rustc_program() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

fn remap(folder: &Path, name: &str) -> String {
    format!("--remap-path-prefix={}={name}", folder.display())
}

fn cargo_home() -> Result<PathBuf> {
    match env::var_os("CARGO_HOME") {
        Some(home) => Ok(home.into()),
        None => Ok(env::home_dir().context("no home folder")?.join(".cargo")),
    }
}
