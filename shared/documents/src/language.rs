//! The part of the template language that documents have, and a check that a template keeps to it.
//!
//! A template says what is shown and where. It has `{{ value }}`, `{% for %}`, `{% if %}`, `{% set %}`,
//! comments and `{% raw %}`; comparisons, `and`, `or`, `not` and `in`; the filters of [`FILTERS`]. It
//! works nothing out: amounts are given. There are no operators of arithmetic, no ways to build texts or
//! lists, no functions, macros or other templates, and escaping cannot be switched off.
//!
//! This is what bounds a rendering, beside the number of its steps: since no value can be made that is
//! larger than one of the data or of the source, every step is short and takes little memory. Steps alone
//! would not: forty doublings of a text are forty steps.
//!
//! Names are followed through the data's structure, so that a wrong one is told with its line even where
//! no sample comes by.

use std::collections::BTreeMap;
use std::rc::Rc;

use minijinja::Value;
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, ForLoop, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, Token, parse, tokenize};
use minijinja::value::ValueKind;

use crate::engine;
use crate::error::DocumentError;
use crate::kind::TemplateFormat;
use crate::markup;

/// Most bytes of a template's source.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;

/// Most tokens between two braces. The engine's parser and compiler call themselves for each operator in
/// a row, without a bound of their own: some thousand minus signs would overrun the stack.
const TAG_TOKENS_MAX: usize = 100;

/// Most bytes of the texts between two braces, for the reason that texts of the data are bounded: a step
/// takes as long as its texts are.
const TAG_TEXT_BYTES_MAX: usize = 500;

/// Most `elif` of a template; each is nested into the one before it.
const ELIF_MAX: usize = 50;

/// Statements a tag may begin with.
const STATEMENTS: [&str; 7] = ["for", "else", "endfor", "if", "elif", "endif", "set"];

/// What a value looks like.
#[derive(Debug, Clone)]
enum Shape {
    /// A text, a number or whether something is so.
    Plain,
    /// One of several values; it can only be asked whether there is something.
    Either,
    /// Entries of one shape.
    List(Rc<Shape>),
    /// Fields by name.
    Fields(Rc<BTreeMap<String, Shape>>),
    /// Not known to this build.
    Unknown,
}

impl Shape {
    fn of(value: &Value) -> Shape {
        let Ok(mut items) = value.try_iter() else { return Shape::Plain };
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                Shape::List(Rc::new(items.next().as_ref().map_or(Shape::Unknown, Shape::of)))
            }
            ValueKind::Map => {
                let field = |name: Value| {
                    let name = name.as_str()?;
                    Some((name.to_owned(), Shape::of(&value.get_attr(name).ok()?)))
                };
                Shape::Fields(Rc::new(items.filter_map(field).collect()))
            }
            _ => Shape::Plain,
        }
    }

    /// Whether comparing it or writing it takes no longer than its text is long.
    fn is_plain(&self) -> bool {
        matches!(self, Shape::Plain | Shape::Unknown)
    }

    fn is_money(&self) -> bool {
        match self {
            Shape::Fields(fields) => fields.contains_key("amount") && fields.contains_key("currency"),
            Shape::Unknown => true,
            _ => false,
        }
    }
}

/// What a filter is put behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Plain,
    Money,
    List,
}

/// The filters, what each takes and how many arguments it has.
const FILTERS: [(&str, Takes, usize); 8] = [
    ("amount", Takes::Money, 0),
    ("money", Takes::Money, 0),
    ("rate", Takes::Plain, 0),
    ("label", Takes::Plain, 0),
    ("upper", Takes::Plain, 0),
    ("lower", Takes::Plain, 0),
    ("length", Takes::List, 0),
    ("default", Takes::Plain, 1),
];

const TESTS: [&str; 2] = ["defined", "undefined"];

/// Checks a template against the language and the names that a sample of its data has.
///
/// With `names_must_be_known` a name that the sample lacks is an error; without it stands for nothing,
/// as it does when the template is rendered.
///
/// # Errors
/// [`DocumentError::TemplateTooLarge`], [`DocumentError::TemplateSyntax`],
/// [`DocumentError::TemplateNotAllowed`], [`DocumentError::TemplateUnknownName`].
pub(crate) fn check(
    source: &str,
    format: TemplateFormat,
    sample: &Value,
    names_must_be_known: bool,
) -> Result<(), DocumentError> {
    if source.len() > TEMPLATE_BYTES_MAX {
        return Err(DocumentError::TemplateTooLarge { bytes: source.len() });
    }
    check_tokens(source, format)?;
    let tree = parse(source, "template", engine::syntax()).map_err(|error| engine::told(&error))?;
    let names = match Shape::of(sample) {
        Shape::Fields(fields) => (*fields).clone(),
        _ => BTreeMap::new(),
    };
    let mut walk = Walk { names_must_be_known, scopes: vec![names] };
    walk.statement(&tree)
}

fn not_allowed<T>(line: usize, what: impl Into<String>) -> Result<T, DocumentError> {
    Err(DocumentError::TemplateNotAllowed { line, what: what.into() })
}

fn line_of(span: Span) -> usize {
    usize::from(span.start_line).max(1)
}

/// What has to be known before the engine's parser may see the source.
fn check_tokens(source: &str, format: TemplateFormat) -> Result<(), DocumentError> {
    let (mut in_tag, mut text_bytes, mut elifs) = (0, 0, 0);
    let (mut opens_statement, mut follows_value) = (false, false);
    for token in tokenize(source, false, engine::syntax()) {
        let (token, span) = token.map_err(|error| engine::told(&error))?;
        let line = line_of(span);
        in_tag += 1;
        match &token {
            Token::TemplateData(text) => {
                if format == TemplateFormat::Paper {
                    check_markup(text, line, follows_value)?;
                }
                in_tag = 0;
            }
            Token::BlockStart | Token::VariableStart => (in_tag, text_bytes) = (0, 0),
            Token::Str(text) => text_bytes += text.len(),
            Token::String(text) => text_bytes += text.len(),
            Token::Ident(name) if opens_statement => {
                if !STATEMENTS.contains(name) {
                    let known = "templates have for, if and set";
                    return not_allowed(line, format!("there is no statement {name:?}; {known}"));
                }
                elifs += usize::from(*name == "elif");
                if elifs > ELIF_MAX {
                    return not_allowed(line, format!("a template has at most {ELIF_MAX} elif"));
                }
            }
            _ => {}
        }
        if in_tag > TAG_TOKENS_MAX {
            return not_allowed(line, format!("one tag has at most {TAG_TOKENS_MAX} words and signs"));
        }
        if text_bytes > TAG_TEXT_BYTES_MAX {
            let what =
                format!("texts in one tag have at most {TAG_TEXT_BYTES_MAX} bytes; write them outside");
            return not_allowed(line, what);
        }
        opens_statement = matches!(token, Token::BlockStart);
        follows_value = matches!(token, Token::VariableEnd);
    }
    Ok(())
}

/// Tags of the markup that are none: printed as text, they would be noticed on paper only.
fn check_markup(text: &str, line: usize, follows_value: bool) -> Result<(), DocumentError> {
    for (at, mut rest) in text.split('\n').enumerate() {
        if at == 0 && follows_value {
            continue;
        }
        while let Some((tag, behind)) = markup::leading_tag(rest) {
            if !markup::TAGS.contains(&tag) {
                let known = markup::TAGS.join(", @");
                let what = format!("there is no @{tag}; there are: @{known}; a text begins with \\@");
                return not_allowed(line + at, what);
            }
            rest = behind;
        }
    }
    Ok(())
}

struct Walk {
    names_must_be_known: bool,
    /// Names by block, the innermost last.
    scopes: Vec<BTreeMap<String, Shape>>,
}

impl Walk {
    fn statements(&mut self, statements: &[Stmt<'_>]) -> Result<(), DocumentError> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Stmt<'_>) -> Result<(), DocumentError> {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(emit) => {
                self.plain(&emit.expr, "shown; name one of its fields, or put |amount or |money behind it")
            }
            Stmt::IfCond(condition) => {
                self.shape(&condition.expr)?;
                self.statements(&condition.true_body)?;
                self.statements(&condition.false_body)
            }
            Stmt::ForLoop(block) => self.for_loop(block, line_of(block.span())),
            Stmt::Set(set) => {
                let line = line_of(set.span());
                let Expr::Var(target) = &set.target else {
                    return not_allowed(line, "set gives one name one value");
                };
                if self.find(target.id).is_some_and(|known| !known.is_plain()) {
                    return not_allowed(line, format!("{:?} is the data's name; set another", target.id));
                }
                self.plain(&set.expr, "kept; set one of its fields")?;
                self.define(target.id, Shape::Plain);
                Ok(())
            }
            // The tokens have been looked at: what is left is a form of these that is not offered.
            _ => not_allowed(1, "set gives a name a value: {% set name = value %}"),
        }
    }

    fn for_loop(&mut self, block: &ForLoop<'_>, line: usize) -> Result<(), DocumentError> {
        if block.recursive {
            return not_allowed(line, "a loop cannot be recursive");
        }
        let Expr::Var(target) = &block.target else {
            return not_allowed(line, "a loop gives each entry one name");
        };
        let entry = match self.shape(&block.iter)? {
            Shape::List(entry) => (*entry).clone(),
            Shape::Unknown => Shape::Unknown,
            _ => return not_allowed(line, "a loop goes through a list"),
        };
        self.scopes.push(BTreeMap::new());
        self.define(target.id, entry);
        if let Some(filter) = &block.filter_expr {
            self.shape(filter)?;
        }
        // Where the loop stands is known once its entries have been chosen.
        let of_loop = ["index", "index0", "first", "last", "length"];
        let of_loop = of_loop.into_iter().map(|name| (name.to_owned(), Shape::Plain)).collect();
        self.define("loop", Shape::Fields(Rc::new(of_loop)));
        self.statements(&block.body)?;
        self.scopes.pop();
        self.statements(&block.else_body)
    }

    fn define(&mut self, name: &str, shape: Shape) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), shape);
        }
    }

    fn find(&self, name: &str) -> Option<&Shape> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    fn unknown<'n>(
        &self,
        line: usize,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> Result<Shape, DocumentError> {
        if !self.names_must_be_known {
            return Ok(Shape::Unknown);
        }
        let known = known.collect::<Vec<_>>().join(", ");
        Err(DocumentError::TemplateUnknownName { line, name: format!("{name:?}"), known })
    }

    /// Something short enough to be written, compared and kept.
    fn plain(&mut self, expression: &Expr<'_>, what: &str) -> Result<(), DocumentError> {
        if self.shape(expression)?.is_plain() {
            Ok(())
        } else {
            not_allowed(line_of(expression.span()), format!("this has several parts and cannot be {what}"))
        }
    }

    fn shape(&mut self, expression: &Expr<'_>) -> Result<Shape, DocumentError> {
        let line = line_of(expression.span());
        match expression {
            Expr::Const(_) => Ok(Shape::Plain),
            Expr::Var(var) => match self.find(var.id) {
                Some(shape) => Ok(shape.clone()),
                None => {
                    let known = self.scopes.iter().flat_map(|scope| scope.keys().map(String::as_str));
                    self.unknown(line, var.id, known)
                }
            },
            Expr::GetAttr(field) => match self.shape(&field.expr)? {
                Shape::Fields(fields) => match fields.get(field.name) {
                    Some(shape) => Ok(shape.clone()),
                    None => self.unknown(line, field.name, fields.keys().map(String::as_str)),
                },
                Shape::Unknown => Ok(Shape::Unknown),
                _ => not_allowed(line, format!("{:?} is asked of something without fields", field.name)),
            },
            Expr::List(list) if list.items.iter().all(|item| matches!(item, Expr::Const(_))) => {
                Ok(Shape::List(Rc::new(Shape::Plain)))
            }
            Expr::UnaryOp(operation) if matches!(operation.op, UnaryOpKind::Not) => {
                self.shape(&operation.expr)?;
                Ok(Shape::Plain)
            }
            Expr::BinOp(operation) => self.operation(line, &operation.op, &operation.left, &operation.right),
            Expr::Compare(comparison) => {
                self.compared(&comparison.expr)?;
                for step in &comparison.ops {
                    match step.op {
                        CompareOpKind::In | CompareOpKind::NotIn => self.contained_in(&step.expr)?,
                        _ => self.compared(&step.expr)?,
                    }
                }
                Ok(Shape::Plain)
            }
            Expr::IfExpr(choice) => {
                self.shape(&choice.test_expr)?;
                self.plain(&choice.true_expr, "chosen; name one of its fields")?;
                if let Some(otherwise) = &choice.false_expr {
                    self.plain(otherwise, "chosen; name one of its fields")?;
                }
                Ok(Shape::Plain)
            }
            Expr::Filter(filter) => self.filter(line, filter.name, filter.expr.as_ref(), &filter.args),
            Expr::Test(test) => {
                self.shape(&test.expr)?;
                if TESTS.contains(&test.name) && test.args.is_empty() {
                    Ok(Shape::Plain)
                } else {
                    let (name, known) = (format!("test {:?}", test.name), TESTS.join(", "));
                    Err(DocumentError::TemplateUnknownName { line, name, known })
                }
            }
            Expr::Call(_) => not_allowed(line, "there are no functions; the data has all that can be shown"),
            Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => {
                not_allowed(line, "a list in a template is one of constants, such as [\"cash\", \"card\"]")
            }
            Expr::GetItem(_) | Expr::Slice(_) => {
                not_allowed(line, "fields are named a.b; lists are looped through")
            }
            Expr::UnaryOp(_) => not_allowed(line, "templates work nothing out: amounts are shown as given"),
        }
    }

    fn operation(
        &mut self,
        line: usize,
        operator: &BinOpKind,
        left: &Expr<'_>,
        right: &Expr<'_>,
    ) -> Result<Shape, DocumentError> {
        match operator {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                let both = (self.shape(left)?, self.shape(right)?);
                let is_plain = both.0.is_plain() && both.1.is_plain();
                Ok(if is_plain { Shape::Plain } else { Shape::Either })
            }
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte => {
                self.compared(left)?;
                self.compared(right)?;
                Ok(Shape::Plain)
            }
            BinOpKind::In => {
                self.compared(left)?;
                self.contained_in(right)?;
                Ok(Shape::Plain)
            }
            BinOpKind::Add
            | BinOpKind::Sub
            | BinOpKind::Mul
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow
            | BinOpKind::Concat => not_allowed(
                line,
                "templates work nothing out: amounts are shown as given, texts beside each other",
            ),
        }
    }

    fn compared(&mut self, expression: &Expr<'_>) -> Result<(), DocumentError> {
        self.plain(expression, "compared; compare one of its fields")
    }

    /// The right of `in`: a list of constants, or a text. Lists of the data may be long.
    fn contained_in(&mut self, expression: &Expr<'_>) -> Result<(), DocumentError> {
        match expression {
            Expr::List(_) => self.shape(expression).map(drop),
            _ => self.plain(expression, "searched; loop through it"),
        }
    }

    fn filter(
        &mut self,
        line: usize,
        name: &str,
        input: Option<&Expr<'_>>,
        arguments: &[CallArg<'_>],
    ) -> Result<Shape, DocumentError> {
        let Some((_, takes, count)) = FILTERS.iter().find(|(known, ..)| *known == name) else {
            let known = FILTERS.map(|(known, ..)| known).join(", ");
            return Err(DocumentError::TemplateUnknownName { line, name: format!("filter {name:?}"), known });
        };
        let Some(input) = input else { return not_allowed(line, format!("{name} stands behind a value")) };
        let shape = self.shape(input)?;
        let (fits, what) = match takes {
            Takes::Plain => (shape.is_plain(), "a text or a number"),
            Takes::Money => (shape.is_money(), "an amount of money, such as order.totals.total"),
            Takes::List => (matches!(shape, Shape::List(_) | Shape::Unknown), "a list"),
        };
        if !fits {
            return not_allowed(line, format!("{name} is of {what}"));
        }
        if arguments.len() != *count {
            return not_allowed(line, format!("{name} takes {count} arguments"));
        }
        for argument in arguments {
            let CallArg::Pos(argument) = argument else {
                return not_allowed(line, format!("{name} takes its argument without a name"));
            };
            self.plain(argument, "an argument; name one of its fields")?;
        }
        Ok(Shape::Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_are_told_every_filter_test_and_tag() {
        let told = include_str!("../templates/README.md");
        for (filter, ..) in FILTERS {
            let forms = ["|{}", "`{}`", "`{}("].map(|form| form.replace("{}", filter));
            assert!(forms.iter().any(|form| told.contains(form)), "{filter}");
        }
        for test in TESTS {
            assert!(told.contains(&format!("`is {test}`")), "{test}");
        }
        for tag in markup::TAGS {
            assert!(told.contains(&format!("@{tag}")), "{tag}");
        }
    }
}
