//! 5. A cart that two tabs can fill at the same time.
//!
//! The handlers take the session by `Merge`: requests that overlap don't wait for each other, and what each
//! of them did is joined when it commits. It is done by `update` and `push`, which say what changes, and
//! not by `get` and `set`, which would overwrite what another tab has put in.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;
use steadfast::axum::Merge;
use steadfast::{Key, Session};

use crate::form::Posted;
use crate::page::{Answer, Page, redirect_with, render};

/// How many of what.
pub(crate) type Cart = BTreeMap<String, u32>;

/// A key that knows the type of its value.
pub(crate) const CART: Key<Cart> = Key::new("cart");

/// What was put in, the latest last.
const LOG: Key<Vec<String>> = Key::new("cart.log");

/// As many of one thing as anybody needs.
const MAX_COUNT: u32 = 99;

struct Product {
    id: &'static str,
    name: &'static str,
    about: &'static str,
    cents: u32,
}

static PRODUCTS: [Product; 4] = [
    Product { id: "lantern", name: "Storm lantern", about: "Burns in any wind", cents: 3_900 },
    Product { id: "oilskin", name: "Oilskin coat", about: "Keeps the weather out", cents: 12_900 },
    Product { id: "compass", name: "Compass", about: "Knows where north is", cents: 2_450 },
    Product { id: "biscuit", name: "Ship’s biscuit", about: "Lasts longer than you", cents: 180 },
];

impl Product {
    fn find(id: &str) -> Option<&'static Self> {
        PRODUCTS.iter().find(|product| product.id == id)
    }

    fn price(&self) -> String {
        euros(self.cents)
    }
}

/// A line of the cart.
struct Line {
    product: &'static Product,
    count: u32,
}

impl Line {
    fn sum(&self) -> String {
        euros(self.product.cents * self.count)
    }
}

#[derive(Template)]
#[template(path = "cart.html")]
struct Show {
    page: Page,
    products: &'static [Product],
    lines: Vec<Line>,
    total: String,
    log: Vec<String>,
}

/// Shows the cart. A visitor needs no account for it, and keeps it when signing in.
pub(crate) async fn show(Merge(session): Merge) -> Answer {
    let lines: Vec<Line> = session.get(CART)?.unwrap_or_default().into_iter().filter_map(line).collect();
    let total = euros(lines.iter().map(|line| line.product.cents * line.count).sum());
    let log = session.get(LOG)?.unwrap_or_default();
    render(&Show { page: Page::new(&session, "/cart")?, products: &PRODUCTS, lines, total, log })
}

/// What a button of the page sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    item: String,
    /// How many more; or fewer, with a minus.
    by: i32,
}

/// Puts something in, or takes it out.
pub(crate) async fn change(Merge(session): Merge, Posted(Change { item, by }): Posted<Change>) -> Answer {
    let Some(product) = Product::find(&item) else {
        return redirect_with(&session, "We do not have that.", "/cart");
    };
    // The closure may run several times, each time on a fresher cart.
    session.update(CART, move |cart| {
        let count = cart.get(product.id).copied().unwrap_or(0).saturating_add_signed(by).min(MAX_COUNT);
        match count {
            0 => drop(cart.remove(product.id)),
            _ => drop(cart.insert(product.id.to_owned(), count)),
        }
        Ok(())
    })?;
    note(&session, by, product)
}

fn note(session: &Session, by: i32, product: &Product) -> Answer {
    if by < 0 {
        return redirect_with(session, &format!("{}: taken out.", product.name), "/cart");
    }
    session.push(LOG, product.name)?;
    redirect_with(session, &format!("{}: in the cart.", product.name), "/cart")
}

fn line((id, count): (String, u32)) -> Option<Line> {
    Product::find(&id).map(|product| Line { product, count })
}

fn euros(cents: u32) -> String {
    format!("€ {}.{:02}", cents / 100, cents % 100)
}
