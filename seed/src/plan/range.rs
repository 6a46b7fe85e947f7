//! The range: a taxonomy of three levels, products with attributes, and their variants, which are what is priced, stocked and sold.

use std::collections::BTreeMap;

use platform::Chance;
use rand::{Rng, RngExt};
use serde::Serialize;
use types::Sku;

use super::{people::pick, text};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Category {
    /// The natural key.
    pub slug: String,
    pub name: &'static str,
    /// The slug of the category above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Product {
    /// The natural key.
    pub sku: Sku,
    pub title: String,
    pub description: String,
    /// The slug of its category.
    pub category: String,
    pub attributes: BTreeMap<&'static str, String>,
    pub variants: Vec<Variant>,
    /// In cents, before any book rounds it.
    pub price_usd_minor: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variant {
    pub sku: Sku,
    pub title: String,
    pub attributes: BTreeMap<&'static str, String>,
}

/// What the variants of a product differ in.
#[derive(Clone, Copy)]
enum Axis {
    Colour,
    Size,
    Finish,
    Pack,
}

impl Axis {
    const fn name(self) -> &'static str {
        match self {
            Self::Colour => "colour",
            Self::Size => "size",
            Self::Finish => "finish",
            Self::Pack => "pack",
        }
    }

    /// Each value with its part of the SKU.
    const fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Colour => &[("Moss", "MOSS"), ("Ink", "INK"), ("Sand", "SAND"), ("Ember", "EMBR"), ("Chalk", "CHLK")],
            Self::Size => &[("S", "S"), ("M", "M"), ("L", "L"), ("XL", "XL")],
            Self::Finish => &[("Oak", "OAK"), ("Brass", "BRAS"), ("Black", "BLCK"), ("Walnut", "WALN")],
            Self::Pack => &[("Single", "1"), ("Pair", "2"), ("Set of six", "6")],
        }
    }
}

struct Leaf {
    top: &'static str,
    middle: &'static str,
    name: &'static str,
    prefix: &'static str,
    things: &'static [&'static str],
    /// From and to, in cents.
    price: (i64, i64),
    axis: Axis,
}

const fn leaf(
    path: (&'static str, &'static str, &'static str),
    prefix: &'static str,
    things: &'static [&'static str],
    price: (i64, i64),
    axis: Axis,
) -> Leaf {
    Leaf { top: path.0, middle: path.1, name: path.2, prefix, things, price, axis }
}

const LEAVES: &[Leaf] = &[
    leaf(("Home", "Lighting", "Table lamps"), "LAMP", &["Reading Lamp", "Bedside Lamp", "Desk Lantern"], (2_900, 14_900), Axis::Finish),
    leaf(("Home", "Lighting", "Pendants"), "PEND", &["Pendant", "Paper Shade", "Glass Globe"], (4_900, 24_900), Axis::Finish),
    leaf(("Home", "Kitchen", "Pans"), "PAN", &["Skillet", "Saucepan", "Wok"], (2_400, 11_900), Axis::Size),
    leaf(("Home", "Kitchen", "Tea"), "TEA", &["Teapot", "Cup", "Kettle"], (1_200, 8_900), Axis::Colour),
    leaf(("Home", "Kitchen", "Knives"), "KNIF", &["Paring Knife", "Chef’s Knife", "Bread Knife"], (1_900, 15_900), Axis::Finish),
    leaf(("Home", "Textiles", "Blankets"), "BLNK", &["Throw", "Wool Blanket", "Quilt"], (3_900, 18_900), Axis::Colour),
    leaf(("Home", "Textiles", "Cushions"), "CUSH", &["Cushion", "Floor Pillow"], (1_500, 5_900), Axis::Colour),
    leaf(("Clothing", "Tops", "Shirts"), "SHRT", &["Linen Shirt", "Flannel Shirt", "Tee"], (1_900, 7_900), Axis::Size),
    leaf(("Clothing", "Tops", "Knitwear"), "KNIT", &["Cardigan", "Crewneck", "Vest"], (3_900, 14_900), Axis::Size),
    leaf(("Clothing", "Outerwear", "Jackets"), "JACK", &["Rain Jacket", "Field Jacket", "Parka"], (7_900, 34_900), Axis::Size),
    leaf(("Clothing", "Accessories", "Scarves"), "SCRF", &["Scarf", "Shawl"], (1_900, 8_900), Axis::Colour),
    leaf(("Clothing", "Accessories", "Socks"), "SOCK", &["Hiking Socks", "Everyday Socks"], (700, 2_900), Axis::Pack),
    leaf(("Outdoors", "Camping", "Tents"), "TENT", &["Trail Tent", "Family Tent", "Tarp"], (8_900, 64_900), Axis::Colour),
    leaf(("Outdoors", "Camping", "Sleeping bags"), "SLPB", &["Down Bag", "Summer Bag"], (5_900, 32_900), Axis::Size),
    leaf(("Outdoors", "Cycling", "Helmets"), "HELM", &["City Helmet", "Trail Helmet"], (3_900, 17_900), Axis::Size),
    leaf(("Outdoors", "Cycling", "Bike lights"), "BLGT", &["Front Light", "Rear Light"], (1_500, 7_900), Axis::Pack),
    leaf(("Electronics", "Audio", "Headphones"), "HEAD", &["Headphones", "Earbuds"], (3_900, 34_900), Axis::Colour),
    leaf(("Electronics", "Desk", "Keyboards"), "KEYB", &["Keyboard", "Keypad"], (4_900, 21_900), Axis::Finish),
    leaf(("Play", "Games", "Board games"), "GAME", &["Harbour Game", "Forest Game", "Tile Game"], (1_900, 6_900), Axis::Pack),
    leaf(("Play", "Games", "Puzzles"), "PUZL", &["Map Puzzle", "Night Sky Puzzle"], (1_200, 3_900), Axis::Pack),
];

/// Names of product lines, from the three regions.
const LINES: &[&str] =
    &["Nordlys", "Sương Mai", "Komorebi", "Brisa", "Fjäril", "Étoile", "Alder", "Juniper", "Ginkgo", "Café Noir", "Tundra", "Sông Hương"];
const MATERIALS: &[&str] = &["recycled aluminium", "organic cotton", "ash wood", "stoneware", "merino wool", "cork", "bamboo"];

fn slug(words: &[&str]) -> String {
    let dashed = |word: &str| word.to_lowercase().replace(' ', "-");
    words.iter().map(|word| dashed(word)).collect::<Vec<_>>().join("-")
}

/// Each above those that stand under it.
#[must_use]
pub fn categories() -> Vec<Category> {
    let mut found: Vec<Category> = Vec::new();
    for depth in 1..=3 {
        for leaf in LEAVES {
            let path = [leaf.top, leaf.middle, leaf.name];
            let category =
                Category { slug: slug(&path[..depth]), name: path[depth - 1], parent: (depth > 1).then(|| slug(&path[..depth - 1])) };
            if !found.contains(&category) {
                found.push(category);
            }
        }
    }
    found
}

#[must_use]
pub fn products(chance: &Chance, count: u32) -> Vec<Product> {
    (0..count as usize).map(|index| product(chance, index)).collect()
}

fn product(chance: &Chance, index: usize) -> Product {
    let leaf = &LEAVES[index % LEAVES.len()];
    let sku = format!("{}-{:04}", leaf.prefix, index + 1);
    let mut stream = chance.stream("seed", &sku, "product");
    let title = format!("{} {}", pick(&mut stream, LINES), pick(&mut stream, leaf.things));
    let material = *pick(&mut stream, MATERIALS);
    let values = leaf.axis.values();
    let kept = stream.random_range(2..=values.len().min(4));
    let from = stream.random_range(0..values.len());
    let variants = (0..kept)
        .map(|step| values[(from + step) % values.len()])
        .map(|(value, code)| Variant {
            sku: text::sku(format!("{sku}-{code}")),
            title: format!("{title}, {value}"),
            attributes: BTreeMap::from([(leaf.axis.name(), value.to_owned())]),
        })
        .collect();
    let grams = stream.random_range(5..400_u32) * 10;
    // Squared, so that cheap things are more frequent than dear ones.
    let point = stream.random::<f64>().powi(2);
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "prices of the list above")]
    let price_usd_minor = leaf.price.0 + ((leaf.price.1 - leaf.price.0) as f64 * point) as i64;
    Product {
        description: format!("{title} in {material}, from our {} range.", leaf.name.to_lowercase()),
        category: slug(&[leaf.top, leaf.middle, leaf.name]),
        attributes: BTreeMap::from([("material", material.to_owned()), ("weightGrams", grams.to_string())]),
        sku: text::sku(sku),
        title,
        variants,
        price_usd_minor,
    }
}

/// What is sold, the most popular first: a shuffle in which each SKU draws its own place, so that it does not follow the taxonomy.
#[must_use]
pub fn popularity(chance: &Chance, products: &[Product]) -> Vec<Sku> {
    let mut places: Vec<(u64, Sku)> = products
        .iter()
        .flat_map(|product| &product.variants)
        .map(|variant| (chance.stream("seed", variant.sku.as_str(), "popularity").next_u64(), variant.sku.clone()))
        .collect();
    places.sort();
    places.into_iter().map(|(_, sku)| sku).collect()
}
