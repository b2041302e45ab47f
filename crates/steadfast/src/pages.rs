//! The pages of the project, so that their examples are compiled. Seen by documentation tests only.

macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {$(
        #[doc = include_str!(concat!("../../../", $path))]
        struct $name;
    )*};
}
pages! {
    Actix: "docs/actix.md",
    Readme: "README.md",
    Configuration: "docs/configuration.md",
    FromCodeIgniter: "docs/from-codeigniter.md",
    MovingFromCodeIgniter: "docs/moving-from-codeigniter.md",
    Drivers: "docs/drivers/README.md",
    MemoryDriver: "docs/drivers/memory.md",
    Guarantees: "docs/guarantees.md",
    Operations: "docs/operations.md",
    Testing: "docs/testing.md",
}
