//! Who is measured: programs, the sessions in them, and the engines that they have.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::engine::Engine::{self, Memory, Postgres, Redis, Sqlite};

/// Sessions of a library in one configuration.
#[derive(Debug, PartialEq)]
pub(crate) struct Contender {
    /// What the tables call it, with what tells it from other configurations.
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// What the program calls it.
    pub(crate) kind: &'static str,
    pub(crate) framework: Framework,
    pub(crate) engines: &'static [Engine],
    /// How it is set up, beside what all have in common.
    pub(crate) set_up: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Program {
    Own,
    /// One of those in `peers/`, by its folder.
    Peer(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framework {
    Axum,
    Actix,
    Salvo,
    Poem,
}

pub(crate) const MERGE: Contender = Contender {
    name: "Steadfast, merge",
    program: Program::Own,
    kind: "merge",
    framework: Framework::Axum,
    engines: &Engine::ALL,
    set_up: "requests of a session run side by side, their changes are merged; `/incr` is `increment`",
};

pub(crate) const EXCLUSIVE: Contender = Contender {
    name: "Steadfast, exclusive",
    program: Program::Own,
    kind: "exclusive",
    framework: Framework::Axum,
    engines: &Engine::ALL,
    set_up: "the default: requests of a session take turns; `/incr` reads and sets",
};

/// Steadfast on another framework: the same sessions, so on two engines only.
pub(crate) static ON_ACTIX: [Contender; 2] = [
    Contender {
        name: "Steadfast on actix-web, merge",
        kind: "actix-merge",
        framework: Framework::Actix,
        engines: &[Memory, Redis],
        set_up: "as Steadfast, merge",
        ..MERGE
    },
    Contender {
        name: "Steadfast on actix-web, exclusive",
        kind: "actix-exclusive",
        framework: Framework::Actix,
        engines: &[Memory, Redis],
        set_up: "as Steadfast, exclusive",
        ..EXCLUSIVE
    },
];

pub(crate) static CEILING: Contender = Contender {
    name: "ceiling",
    program: Program::Own,
    kind: "ceiling",
    framework: Framework::Axum,
    engines: &Engine::ALL,
    set_up: "the raw calls: read, and write",
};

pub(crate) static LEASED: Contender = Contender {
    name: "ceiling, leased",
    program: Program::Own,
    kind: "ceiling-leased",
    framework: Framework::Axum,
    engines: &Engine::ALL,
    set_up: "the raw calls: take a lease and read, write and end the lease",
};

/// Those of others.
pub(crate) static PEERS: [Contender; 7] = [
    Contender {
        name: "tower-sessions 0.15",
        program: Program::Peer("tower-sessions"),
        kind: "newest",
        framework: Framework::Axum,
        engines: &[Memory],
        set_up: "`MemoryStore`; the newest version has no other store yet",
    },
    Contender {
        name: "tower-sessions 0.14",
        program: Program::Peer("tower-sessions"),
        kind: "0.14",
        framework: Framework::Axum,
        engines: &[Memory, Sqlite, Redis, Postgres],
        set_up: "the newest version that its stores are released for: moka in memory, fred with a pool of 6 on Redis, \
            sqlx with its default pool of 10 on SQLite and PostgreSQL",
    },
    Contender {
        name: "axum_session",
        program: Program::Peer("axum-session"),
        kind: "copy",
        framework: Framework::Axum,
        engines: &[Memory, Sqlite, Redis, Postgres],
        set_up: "its default: each process keeps a copy of the sessions that it has seen and reads that; in memory \
            there is no store behind it. redis_pool's default pool, sqlx pools of 5",
    },
    Contender {
        name: "axum_session, no copy",
        program: Program::Peer("axum-session"),
        kind: "each-time",
        framework: Framework::Axum,
        engines: &[Sqlite, Redis, Postgres],
        set_up: "the same with `memory_lifetime` of zero, so that each request asks the store, as all others do",
    },
    Contender {
        name: "actix-session",
        program: Program::Peer("actix-session"),
        kind: "default",
        framework: Framework::Actix,
        engines: &[Redis],
        set_up: "`RedisSessionStore` with its connection manager, encrypted cookies",
    },
    Contender {
        name: "Salvo",
        program: Program::Peer("salvo"),
        kind: "default",
        framework: Framework::Salvo,
        engines: &[Memory, Redis],
        set_up: "`MemoryStore`, or saysion's `RedisStore` with its connection manager; signed cookies",
    },
    Contender {
        name: "Poem",
        program: Program::Peer("poem"),
        kind: "default",
        framework: Framework::Poem,
        engines: &[Memory, Redis],
        set_up: "`ServerSession` with `MemoryStorage`, or `RedisStorage` with a connection manager",
    },
];

/// The frameworks without sessions.
pub(crate) static ALONE: [Contender; 4] = [
    alone("axum alone", Program::Own, Framework::Axum),
    alone("actix-web alone", Program::Peer("actix-session"), Framework::Actix),
    alone("Salvo alone", Program::Peer("salvo"), Framework::Salvo),
    alone("Poem alone", Program::Peer("poem"), Framework::Poem),
];

const fn alone(name: &'static str, program: Program, framework: Framework) -> Contender {
    Contender { name, program, kind: "none", framework, engines: &[], set_up: "no sessions" }
}

/// Libraries whose versions the report names, by the folder of their workspace.
pub(crate) const VERSIONS: [(Program, &[&str]); 6] = [
    (
        Program::Own,
        &["axum", "hyper", "actix-web", "tokio", "redis", "rusqlite", "tokio-postgres", "mysql_async"],
    ),
    (
        Program::Peer("tower-sessions"),
        &[
            "tower-sessions",
            "tower-sessions-redis-store",
            "tower-sessions-sqlx-store",
            "tower-sessions-moka-store",
            "fred",
            "sqlx",
            "axum",
        ],
    ),
    (
        Program::Peer("axum-session"),
        &["axum_session", "axum_session_redispool", "axum_session_sqlx", "redis", "sqlx", "axum"],
    ),
    (Program::Peer("actix-session"), &["actix-session", "actix-web", "redis"]),
    (Program::Peer("salvo"), &["salvo", "saysion", "redis"]),
    (Program::Peer("poem"), &["poem", "redis"]),
];

/// Writes how each is set up.
pub(crate) fn table() -> String {
    let mut text = String::from("| | engines | set up |\n| --- | --- | --- |\n");
    let ours = [&MERGE, &EXCLUSIVE].into_iter().chain(&ON_ACTIX);
    for contender in ours.chain([&CEILING, &LEASED]).chain(&PEERS) {
        let Contender { name, engines, set_up, .. } = contender;
        let engines: Vec<_> = engines.iter().map(Engine::to_string).collect();
        let _ = writeln!(text, "| {name} | {} | {set_up} |", engines.join(", "));
    }
    text
}

impl Contender {
    pub(crate) fn is_ours(&self) -> bool {
        self.program == Program::Own && self.kind != "none"
    }

    /// Returns its framework without sessions.
    pub(crate) fn alone(&self) -> &'static Contender {
        let of = |alone: &&Contender| alone.framework == self.framework;
        ALONE.iter().find(of).expect("each framework is there without sessions")
    }
}

impl Program {
    /// Returns the folder of its workspace.
    pub(crate) fn workspace(self) -> PathBuf {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
        match self {
            Self::Own => bench.to_owned(),
            Self::Peer(peer) => bench.join("peers").join(peer),
        }
    }

    /// Returns the program, which is this one or lies beside it.
    pub(crate) fn path(self) -> Result<PathBuf> {
        let own = std::env::current_exe()?;
        Ok(match self {
            Self::Own => own,
            Self::Peer(peer) => own.with_file_name(format!("peer-{peer}")),
        })
    }

    /// Builds it with the same profile as this program, beside it. What is built already takes a second.
    pub(crate) fn build(self) -> Result<()> {
        let Self::Peer(peer) = self else { return Ok(()) };
        let path = self.path()?;
        let profile = path.parent().ok_or("a program in no folder")?;
        let target = profile.parent().ok_or("a program in no folder")?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
        cargo.arg("--manifest-path").arg(self.workspace().join("Cargo.toml"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        if cargo.status()?.success() { Ok(()) } else { Err(format!("peers/{peer} does not build").into()) }
    }
}
