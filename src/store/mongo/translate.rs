//! Documents between JSON, as the server has them, and BSON, as MongoDB has them.
//!
//! Values keep their types and names their text, so that an operator of the database sees documents as they are. What
//! MongoDB would read as more than a name is escaped: a field's name may be any text here. Nothing is ever read as
//! extended JSON: `{"$oid": …}` is an object with one field.

use mongodb::bson::{Bson, Document};
use serde_json::{Map, Number, Value};

/// The name of the one field that a number too large for BSON has; no other begins so.
const LARGE_NUMBER: &str = "%u";

/// The name of the one field that stands for a list in a list, which not every server takes.
const INNER_LIST: &str = "%a";

/// An object as a document.
pub fn to_document(fields: &Map<String, Value>) -> Document {
    fields.iter().map(|(name, value)| (escaped(name), to_bson(value))).collect()
}

fn to_bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Bson::Int64(number),
            (None, Some(number), _) => {
                Bson::Document(Document::from_iter([(LARGE_NUMBER.to_owned(), Bson::String(number.to_string()))]))
            }
            (None, None, number) => Bson::Double(number.unwrap_or(0.0)),
        },
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(values) => Bson::Array(values.iter().map(to_element).collect()),
        Value::Object(fields) => Bson::Document(to_document(fields)),
    }
}

fn to_element(value: &Value) -> Bson {
    match (value, to_bson(value)) {
        (Value::Array(_), list) => Bson::Document(Document::from_iter([(INNER_LIST.to_owned(), list)])),
        (_, value) => value,
    }
}

/// A document as an object.
///
/// # Errors
/// What is wrong, where it was not written by this server.
pub fn from_document(document: &Document) -> Result<Map<String, Value>, String> {
    document.iter().map(|(name, value)| Ok((unescaped(name), from_bson(value)?))).collect()
}

fn from_bson(value: &Bson) -> Result<Value, String> {
    Ok(match value {
        Bson::Null => Value::Null,
        Bson::Boolean(value) => Value::Bool(*value),
        // Tools of operators write either.
        Bson::Int32(number) => Value::Number((*number).into()),
        Bson::Int64(number) => Value::Number((*number).into()),
        Bson::Double(number) => Value::Number(Number::from_f64(*number).ok_or("a number that is none")?),
        Bson::String(text) => Value::String(text.clone()),
        Bson::Array(values) => Value::Array(values.iter().map(from_bson).collect::<Result<_, _>>()?),
        Bson::Document(document) => match (document.get(LARGE_NUMBER), document.get(INNER_LIST)) {
            (Some(Bson::String(digits)), _) => {
                Value::Number(digits.parse::<u64>().map_err(|_| format!("`{digits}` is no number"))?.into())
            }
            (None, Some(list @ Bson::Array(_))) => from_bson(list)?,
            _ => Value::Object(from_document(document)?),
        },
        other => return Err(format!("a value of type {:?}", other.element_type())),
    })
}

/// A name that is a name and nothing else: `$` begins operators, `.` parts paths, and zero ends names.
fn escaped(name: &str) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '%' => escaped.push_str("%25"),
            '$' => escaped.push_str("%24"),
            '.' => escaped.push_str("%2E"),
            '\0' => escaped.push_str("%00"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn unescaped(name: &str) -> String {
    if name == "%" {
        return String::new();
    }
    let mut parts = name.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (c, rest) = match part.as_bytes() {
            [b'2', b'5', ..] => ('%', &part[2..]),
            [b'2', b'4', ..] => ('$', &part[2..]),
            [b'2', b'E', ..] => ('.', &part[2..]),
            [b'0', b'0', ..] => ('\0', &part[2..]),
            // Not written by this server; as it stands.
            _ => ('%', part),
        };
        text.push(c);
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[$.%\\PC]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[$.%\0\\PC]{0,4}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn names(document: &Document, seen: &mut Vec<String>) {
        for (name, value) in document {
            seen.push(name.clone());
            values(value, seen);
        }
    }

    fn values(value: &Bson, seen: &mut Vec<String>) {
        match value {
            Bson::Document(document) => names(document, seen),
            Bson::Array(array) => array.iter().for_each(|value| values(value, seen)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn any_document_comes_back_and_has_no_operator_or_path_for_a_name(value in any_json()) {
            let fields = Map::from_iter([("$v.".to_owned(), value)]);
            let document = to_document(&fields);
            let mut seen = Vec::new();
            names(&document, &mut seen);
            for name in seen {
                prop_assert!(!name.is_empty() && !name.contains(['$', '.', '\0']), "{name:?}");
            }
            prop_assert_eq!(from_document(&document).unwrap(), fields);
        }

        #[test]
        fn any_name_that_an_operator_wrote_is_read_without_a_panic(name in any::<String>()) {
            unescaped(&name);
        }
    }

    #[test]
    fn what_looks_like_extended_json_is_an_object() {
        let value = json!({ "$oid": "507f1f77bcf86cd799439011", "$date": 1 });
        let document = to_document(value.as_object().unwrap());
        assert_eq!(document.keys().collect::<Vec<_>>(), ["%24date", "%24oid"]);
    }

    #[test]
    fn a_field_that_is_named_like_a_large_number_or_an_inner_list_is_none() {
        let value = json!({ "n": u64::MAX, "m": { "%u": "5" }, "l": [[[]], { "%a": [] }] });
        let document = to_document(value.as_object().unwrap());
        assert_eq!(from_document(&document).unwrap(), *value.as_object().unwrap());
    }
}
