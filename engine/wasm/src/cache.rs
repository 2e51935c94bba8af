//! Compiled code kept in a folder, so that a component is compiled once per machine.
//!
//! The one place with unsafe code in this crate: compiled code read back from disk is run as it
//! is. See [`CodeCache`] for why that is sound.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io, process};

use wasmtime::component::Component;

use crate::{Digest, Engine};

const DIGEST_BYTES: usize = size_of::<Digest>();

/// A private folder of compiled components.
///
/// Files are named by the component's digest and the compiler's configuration, and begin with the
/// digest of the code that follows. A file that is damaged, cut short or of another configuration
/// is a miss, and is written anew. The folder belongs to this user and nobody else may enter it:
/// whoever could forge a file in it could as well change this program.
#[derive(Clone, Debug)]
pub struct CodeCache {
    folder: PathBuf,
}

impl CodeCache {
    /// Opens the folder, and makes it if it is not there. An error where others may enter it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        private::make(folder)?;
        Ok(Self {
            folder: folder.to_path_buf(),
        })
    }

    pub(crate) fn get(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let file = fs::read(self.path(engine, digest)).ok()?;
        let (recorded, code) = file.split_at_checked(DIGEST_BYTES)?;
        if Digest::of(code).0 != *recorded {
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "the code is what `put` got from this compiler: the folder is closed to others, and the digest shows the bytes whole"
        )]
        // SAFETY: `deserialize` asks for bytes that `serialize` made. Only `put` writes such files,
        // into a folder that `private::make` found to be this user's alone, and the digest has
        // just been compared. Another engine version or configuration is an error of its own.
        let component = unsafe { Component::deserialize(engine.wasm(), code) };
        component.ok()
    }

    /// Best effort: a folder that is full or read-only is no reason to refuse a policy.
    pub(crate) fn put(&self, engine: &Engine, digest: Digest, component: &Component) {
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        let Ok(code) = component.serialize() else {
            return;
        };
        let path = self.path(engine, digest);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{number}", process::id()));
        let file = [&Digest::of(&code).0, code.as_slice()].concat();
        let written = fs::write(&unfinished, file).and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            // Nothing more can be done about a file that cannot be removed either.
            fs::remove_file(&unfinished).ok();
        }
    }

    fn path(&self, engine: &Engine, digest: Digest) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine
            .wasm()
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        self.folder
            .join(format!("{digest}-{:016x}.code", hasher.finish()))
    }
}

#[cfg(unix)]
mod private {
    use std::fs::{self, DirBuilder};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    use std::path::Path;

    pub(super) fn make(folder: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let found = fs::metadata(folder)?;
        if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{} must belong to you and be closed to others (chmod 700)",
                    folder.display()
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod private {
    use std::io;
    use std::path::Path;

    pub(super) fn make(_: &Path) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "compiled code is cached on Unix only",
        ))
    }
}
