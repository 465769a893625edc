//! Public names of the Node package: what `index.ts` exports, and the members of its classes and interfaces. It relies on the layout
//! of the sources: declarations at the margin, members two spaces in, `@internal` in the comment of what the declarations leave out.

use super::Item;

/// Names of the package. `sources` are text and file of every source.
pub fn items(index: &str, sources: &[(String, String)]) -> Vec<Item> {
    let mut exported = exports(index);
    let mut items: Vec<Item> =
        exported.iter().map(|name| item(name.clone(), None, "node/src/index.ts")).collect();
    // `export type Event = NativeEvent` has the members of the other.
    let mut aliases: Vec<(String, String)> = Vec::new();
    for (text, _) in sources {
        for line in text.lines() {
            let alias = line.strip_prefix("export type ").and_then(|rest| rest.split_once(" = "));
            if let Some((name, other)) = alias
                && exported.iter().any(|one| one == name)
            {
                aliases.push((other.trim_end_matches(';').to_owned(), name.to_owned()));
            }
        }
    }
    exported.extend(aliases.iter().map(|(other, _)| other.clone()));
    for (text, file) in sources {
        for (parent, member) in members(text) {
            let shown = aliases.iter().find(|(other, _)| *other == parent).map(|(_, name)| name);
            let parent = shown.cloned().unwrap_or(parent);
            let name = format!("{parent}.{member}");
            if exported.contains(&parent) && !items.iter().any(|item| item.name == name) {
                items.push(item(name, Some(parent), file));
            }
        }
    }
    items
}

fn item(name: String, parent: Option<String>, file: &str) -> Item {
    Item { name, parent, exported: true, file: file.to_owned() }
}

/// Names in `export { A, type B } from`, `export const` and the like.
fn exports(index: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = index;
    while let Some((_, after)) = rest.split_once("export ") {
        let after = after.strip_prefix("type ").unwrap_or(after);
        match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            Some((list, after)) => {
                let list = list.split(',').map(|name| name.trim().trim_start_matches("type "));
                names.extend(list.filter(|name| !name.is_empty()).map(str::to_owned));
                rest = after;
            }
            None => {
                let declared = after.split_once(' ').map(|(_, after)| identifier(after));
                names.extend(declared.filter(|name| !name.is_empty()).map(str::to_owned));
                rest = after;
            }
        }
    }
    names
}

/// Type and name of every public member, and of the values of unions of texts.
fn members(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut parent: Option<String> = None;
    let mut internal = false;
    for line in text.lines() {
        if line.starts_with('}') {
            parent = None;
        }
        internal |= line.contains("@internal");
        if let Some(rest) = line.strip_prefix("export ") {
            let rest = rest.strip_prefix("abstract ").unwrap_or(rest);
            let named = ["class ", "interface "].iter().find_map(|word| rest.strip_prefix(word));
            parent = named.filter(|_| line.ends_with('{')).map(|rest| identifier(rest).to_owned());
            if let Some((name, values)) = rest.strip_prefix("type ").and_then(|rest| rest.split_once(" = '"))
            {
                let values = values.split('\'').step_by(2).filter(|value| !value.starts_with(';'));
                let values = values.filter(|value| !value.is_empty());
                found.extend(values.map(|value| (name.to_owned(), value.to_owned())));
            }
            continue;
        }
        let Some(code) = line.strip_prefix("  ").filter(|code| !code.starts_with(' ')) else { continue };
        if let Some(parent) = &parent
            && let Some(name) = member(code)
        {
            if !internal {
                found.push((parent.clone(), name.to_owned()));
            }
            internal = false;
        }
    }
    found
}

/// The name that a line of a class or interface declares for everyone.
fn member(code: &str) -> Option<&str> {
    if code.starts_with(['/', '*', ' ', '#', '[', '}', ')']) || code.starts_with("private ") {
        return None;
    }
    let words = ["static ", "readonly ", "async ", "get ", "*"];
    let code = words.iter().fold(code, |code, word| code.strip_prefix(word).unwrap_or(code));
    let name = identifier(code);
    let rest = code.get(name.len()..).unwrap_or_default();
    let declares = rest.starts_with(['(', ':', '?', '<']) || rest.starts_with(" = ");
    let name = if name == "constructor" { "new" } else { name };
    (!name.is_empty() && declares && !code.starts_with('#')).then_some(name)
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "// x\nexport const version: string = a();\nexport { Proof } from './a.js';\n\
                         export type { Kind,\n  Options, Event } from './a.js';\n";
    const SOURCE: &str = "export type Kind = 'a_b' | 'c';\nexport type Event = NativeEvent;\nexport class Proof {\n  readonly #own: X;\n  \
        readonly kind = 'p';\n  private constructor(key: unknown) {\n    this.x = 1;\n  }\n  /** @internal */\n  \
        static wrap(x: X): Proof {\n    return 1;\n  }\n  /** Y: z */\n  static make(): Proof {}\n  get model(): string {\n    return 1;\n  }\n  \
        async seal(\n    a: B,\n  ): Promise<X> {}\n  async *texts(): X {}\n  [Symbol.iterator](): this {}\n  #run(): void {}\n}\n\
        export interface Options {\n  readonly baseUrl?: string;\n  readonly [member: string]: unknown;\n}\n\
        export class Hidden {\n  x(): void {}\n}\n";
    const NATIVE: &str = "export interface NativeEvent {\n  readonly text: string;\n}\n";

    #[test]
    fn names() {
        let sources = [SOURCE, NATIVE].map(|text| (text.to_owned(), "a.ts".to_owned()));
        let names: Vec<String> = items(INDEX, &sources).into_iter().map(|item| item.name).collect();
        let expected = "version Proof Kind Options Event Kind.a_b Kind.c Proof.kind Proof.make Proof.model Proof.seal Proof.texts \
                        Options.baseUrl Event.text";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn a_public_constructor_is_a_name() {
        let source = ("export class Proof {\n  constructor(x: X) {\n  }\n}\n".to_owned(), "a.ts".to_owned());
        let names: Vec<String> = items(INDEX, &[source]).into_iter().map(|item| item.name).collect();
        assert!(names.contains(&"Proof.new".to_owned()));
    }
}
