//! Public names of the Python package: `__all__`, and the members of its classes in sources and stub.

use super::Item;

/// The names in `__all__`.
pub fn exported(init: &str) -> Result<Vec<String>, String> {
    let list = init.split_once("__all__ = [").and_then(|(_, rest)| rest.split_once(']'));
    let (names, _) = list.ok_or("no __all__ in python/python/proveil/__init__.py")?;
    Ok(names.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// What one source defines of the names in `public`: classes with their members, functions with their parameters
/// (`verify().model`), and constants. A constructor is `Class.new` and has its parameters as `Class().model`;
/// those of a class method are `Class.method().model`.
pub fn items(text: &str, file: &str, public: &[String]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut class: Option<&str> = None;
    let mut documentation = false;
    let mut makes = false;
    for (place, line) in lines(text) {
        if line.matches("\"\"\"").count() % 2 == 1 {
            documentation = !documentation;
            continue;
        }
        let code = line.trim_start();
        if documentation || code.is_empty() {
            continue;
        }
        let decorated = std::mem::replace(&mut makes, code == "@classmethod");
        let mut push = |name: String, parent: Option<&str>| {
            if !items.iter().any(|item| item.name == name) {
                let parent = parent.map(str::to_owned);
                items.push(Item { name, parent, exported: true, file: file.to_owned() });
            }
        };
        match line.len().saturating_sub(code.len()) {
            0 => {
                class = code.strip_prefix("class ").map(identifier).filter(|name| is_public(name, public));
                let name = class.or_else(|| defined(code).filter(|name| is_public(name, public)));
                let Some(name) = name else { continue };
                push(name.to_owned(), None);
                if code.contains("def ") {
                    let function = format!("{name}()");
                    parameters(text, place).iter().for_each(|parameter| {
                        push(format!("{function}.{parameter}"), Some(&function));
                    });
                }
            }
            4 => {
                let (Some(class), Some(name)) = (class, defined(code)) else { continue };
                if matches!(name, "__new__" | "__init__") {
                    push(format!("{class}.new"), Some(class));
                    let call = format!("{class}()");
                    parameters(text, place).iter().for_each(|parameter| {
                        push(format!("{call}.{parameter}"), Some(&call));
                    });
                } else if !name.starts_with('_') {
                    push(format!("{class}.{name}"), Some(class));
                    let call = format!("{class}.{name}()");
                    if decorated {
                        parameters(text, place).iter().for_each(|parameter| {
                            push(format!("{call}.{parameter}"), Some(&call));
                        });
                    }
                }
            }
            _ => {}
        }
    }
    items
}

fn is_public(name: &str, public: &[String]) -> bool {
    public.iter().any(|one| one == name)
}

/// Lines with the offset at which each begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0_usize, |place, line| {
        let start = *place;
        *place = start.saturating_add(line.len());
        Some((start, line.trim_end()))
    })
}

/// The function or annotated name that is defined here.
fn defined(code: &str) -> Option<&str> {
    let code = code.strip_prefix("async ").unwrap_or(code);
    if let Some(rest) = code.strip_prefix("def ") {
        return Some(identifier(rest));
    }
    let name = identifier(code);
    let rest = code.get(name.len()..).unwrap_or_default();
    (!name.is_empty() && rest.starts_with(": ")).then_some(name)
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Names of the parameters of the function defined at `place`, without the object and without catch-alls.
fn parameters(text: &str, place: usize) -> Vec<&str> {
    let Some((_, rest)) = text.get(place..).and_then(|rest| rest.split_once('(')) else { return Vec::new() };
    let mut depth = 0_usize;
    let mut names = Vec::new();
    let mut start = 0_usize;
    for (at, letter) in rest.char_indices() {
        let end = match letter {
            '(' | '[' | '{' => {
                depth = depth.saturating_add(1);
                false
            }
            ')' if depth == 0 => true,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                false
            }
            ',' => depth == 0,
            _ => false,
        };
        if end {
            names.push(identifier(rest.get(start..at).unwrap_or_default().trim()));
            start = at.saturating_add(1);
        }
        if end && letter == ')' {
            break;
        }
    }
    names.retain(|name| !name.is_empty() && !matches!(*name, "self" | "cls"));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "version: str\nhidden: str\n\n@final\nclass Proof:\n    \"\"\"A\n    text: of it\n    \"\"\"\n    code: str\n    \
        _own: str\n    def __new__(\n        cls,\n        model: str,\n        *,\n        pair: tuple[int, str] = (1, 2),\n    ) -> Self: ...\n    \
        @property\n    def not_after(self) -> int:\n        inner: int = 1\n    async def go(self): ...\n    def __eq__(self, o): ...\n\n\
        class Hidden:\n    x: int\n\ndef verify(provider: str, at: int | None = None, **rest: X) -> Report: ...\n";

    #[test]
    fn names() {
        let public = ["version", "Proof", "verify"].map(str::to_owned);
        let names: Vec<String> = items(SOURCE, "a.pyi", &public).into_iter().map(|item| item.name).collect();
        let expected = "version Proof Proof.code Proof.new Proof().model Proof().pair Proof.not_after Proof.go verify \
                        verify().provider verify().at";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn all() {
        assert_eq!(exported("x\n__all__ = [\n    \"A\",\n    \"b\",\n]\n\"c\"").unwrap(), ["A", "b"]);
        assert!(exported("").is_err());
    }
}
