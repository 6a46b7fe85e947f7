//! What lists and searches go by: an entry for each product, with its category and its words. It is written after the document, by
//! whoever wrote that and again from the feed, and never back to an older generation.

use std::collections::BTreeSet;

use platform::{
    db::{DbError, FromRow, Row, Tx, Value},
    values,
};
use types::{CategoryId, ProductId};

use super::Rev;
use crate::{domain::Document, search};

/// How many questions are asked in one statement.
const QUESTIONS_MAX: usize = 25;

/// Writes the entry of a product as of this revision; of a deleted one without a document.
pub async fn write(tx: &mut Tx<'_>, product: ProductId, rev: &Rev, document: Option<&Document>) -> Result<(), DbError> {
    let insert = "INSERT INTO product_index (product_id, generation, category_id, deleted) VALUES (?, 0, ?, TRUE)";
    tx.insert_new(insert, values![product, None::<CategoryId>]).await?;
    let update = "UPDATE product_index SET generation = ?, category_id = ?, deleted = ? WHERE product_id = ? AND generation < ?";
    let category = document.and_then(|document| document.category_id);
    let row = values![rev.generation(), category, document.is_none(), product, rev.generation()];
    if tx.execute(update, row).await? == 0 {
        return Ok(());
    }
    let seq: i64 = tx.fetch_one("SELECT seq FROM product_index WHERE product_id = ?", values![product]).await?;
    let words = document.map(search::of_product).unwrap_or_default();
    let standing = tx.fetch_all::<String>("SELECT token FROM product_tokens WHERE product = ?", values![seq]).await?;
    let standing: BTreeSet<String> = standing.into_iter().collect();
    for gone in standing.difference(&words) {
        tx.execute("DELETE FROM product_tokens WHERE token = ? AND product = ?", values![gone, seq]).await?;
    }
    for new in words.difference(&standing) {
        tx.execute("INSERT INTO product_tokens (token, product) VALUES (?, ?)", values![new, seq]).await?;
    }
    Ok(())
}

/// What a list is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// In this category, or in one below it.
    pub category: Option<CategoryId>,
    /// With words that begin like each of these.
    pub words: BTreeSet<String>,
    /// Behind this place.
    pub behind: i64,
    pub limit: u32,
}

/// An entry and its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: i64,
    pub product: ProductId,
}

struct Answer(i64, Entry);

impl FromRow for Answer {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(row.get("question")?, Entry { seq: row.get("seq")?, product: row.id("product_id")? }))
    }
}

/// The entries for each question, oldest products first; many questions are one statement.
pub async fn find(tx: &mut Tx<'_>, questions: &[Question]) -> Result<Vec<Vec<Entry>>, DbError> {
    let mut found: Vec<Vec<Entry>> = vec![Vec::new(); questions.len()];
    for (part, questions) in questions.chunks(QUESTIONS_MAX).enumerate() {
        let (mut texts, mut values) = (Vec::new(), Vec::new());
        for (number, question) in (0_i64..).zip(questions) {
            texts.push(select(question, number, &mut values));
        }
        let query = format!("{} ORDER BY question, seq", texts.join(" UNION ALL "));
        for Answer(number, entry) in tx.fetch_all::<Answer>(&query, values).await? {
            let number = part * QUESTIONS_MAX + usize::try_from(number).unwrap_or(0);
            if let Some(entries) = found.get_mut(number) {
                entries.push(entry);
            }
        }
    }
    Ok(found)
}

/// One question as a part of a statement. The longest word leads, being the rarest: by it the entries are found, by the others sieved.
fn select(question: &Question, number: i64, values: &mut Vec<Value>) -> String {
    let mut words: Vec<&String> = question.words.iter().collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    let mut text = String::from(
        "SELECT * FROM (SELECT ? AS question, p.seq AS seq, p.product_id AS product_id FROM product_index p WHERE NOT p.deleted AND p.seq > ?",
    );
    values.extend(values![number, question.behind]);
    for (index, word) in words.into_iter().enumerate() {
        text.push_str(if index == 0 {
            " AND p.seq IN (SELECT t.product FROM product_tokens t WHERE t.token >= ? AND t.token < ?)"
        } else {
            " AND EXISTS (SELECT 1 FROM product_tokens t WHERE t.product = p.seq AND t.token >= ? AND t.token < ?)"
        });
        values.extend(values![word, search::behind(word)]);
    }
    if let Some(category) = question.category {
        text.push_str(
            " AND p.category_id IN (WITH RECURSIVE below (id) AS (SELECT id FROM categories WHERE id = ?
              UNION ALL SELECT c.id FROM categories c JOIN below b ON c.parent_id = b.id) SELECT id FROM below)",
        );
        values.extend(values![category]);
    }
    text.push_str(" ORDER BY p.seq LIMIT ?) AS entries");
    values.extend(values![question.limit]);
    text
}
