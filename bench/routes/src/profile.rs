//! What a visitor's session holds.

use serde::Serialize;

/// The values of a session that has signed in: 349 bytes as JSON. A session has one value for each field.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Profile {
    pub user_id: u64,
    pub name: &'static str,
    pub email: &'static str,
    pub roles: [&'static str; 3],
    pub csrf: &'static str,
    pub cart: [Item; 3],
    pub n: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Item {
    pub sku: &'static str,
    pub qty: u32,
    pub price: f64,
}

pub const PROFILE: Profile = Profile {
    user_id: 184_467,
    name: "Marguerite Delacroix",
    email: "marguerite.delacroix@example.org",
    roles: ["customer", "reviewer", "beta"],
    csrf: "8f14e45fceea167a5a36dedd4bea2543f0c1a9c2b7d8e9f0a1b2c3d4e5f60718",
    cart: [
        Item { sku: "SKU-100234", qty: 2, price: 19.9 },
        Item { sku: "SKU-100871", qty: 1, price: 249.0 },
        Item { sku: "SKU-101442", qty: 5, price: 3.25 },
    ],
    n: 0,
};

/// Does something with the name and the value of each field, such as `|key, value| session.set(key, value)?`.
/// The values differ in their types, so this is no function.
#[macro_export]
macro_rules! fill {
    ($profile:expr, |$key:ident, $value:ident| $set:expr) => {{
        let $crate::Profile { user_id, name, email, roles, csrf, cart, n } = $profile;
        $crate::fill!(@one "user_id", user_id, $key, $value, $set);
        $crate::fill!(@one "name", name, $key, $value, $set);
        $crate::fill!(@one "email", email, $key, $value, $set);
        $crate::fill!(@one "roles", roles, $key, $value, $set);
        $crate::fill!(@one "csrf", csrf, $key, $value, $set);
        $crate::fill!(@one "cart", cart, $key, $value, $set);
        $crate::fill!(@one "n", n, $key, $value, $set);
    }};
    (@one $name:literal, $field:ident, $key:ident, $value:ident, $set:expr) => {{
        let ($key, $value) = ($name, $field);
        $set;
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_as_large_as_in_other_measurements() {
        let bytes = serde_json::to_vec(&PROFILE).unwrap().len();
        assert!((330..370).contains(&bytes), "{bytes}");
    }
}
