//! How results cross: `{ ok: value }` or `{ error: { code, slug, ... } }`, at once or as a promise that never rejects.

use std::future::Future;

use napi::bindgen_prelude::{AsyncTask, Object, ToNapiValue, TypeName};
use napi::{Env, Task, ValueType, sys};
use proveil_bindings_support::core::{Error, Result};
use proveil_bindings_support::{CancelToken, ErrorFields, FlatEvent, guard, run, runtime};

use crate::values::Events;

/// What every function gives back.
pub struct Answer<T>(Result<T, Failure>);

/// An error and the events that came out of valid fields before it.
struct Failure {
    error: Error,
    events: Vec<FlatEvent>,
}

impl<T> Answer<T> {
    /// A failure that comes with what was opened before it.
    pub fn failed_after(error: Error, events: Vec<FlatEvent>) -> Answer<T> {
        Answer(Err(Failure { error, events }))
    }
}

impl<T> From<Result<T>> for Answer<T> {
    fn from(result: Result<T>) -> Answer<T> {
        Answer(result.map_err(|error| Failure { error, events: Vec::new() }))
    }
}

impl<T> TypeName for Answer<T> {
    fn type_name() -> &'static str {
        "Answer"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl<T: ToNapiValue> ToNapiValue for Answer<T> {
    unsafe fn to_napi_value(env: sys::napi_env, answer: Answer<T>) -> napi::Result<sys::napi_value> {
        let mut object = Object::new(&Env::from_raw(env))?;
        match answer.0 {
            Ok(value) => object.set("ok", value)?,
            Err(failure) => object.set("error", fields(env, failure)?)?,
        }
        // SAFETY: `env` is the environment of this call and the object was made in it.
        unsafe { ToNapiValue::to_napi_value(env, object) }
    }
}

fn fields<'env>(env: sys::napi_env, failure: Failure) -> napi::Result<Object<'env>> {
    let error = ErrorFields::from(&failure.error);
    let mut object = Object::new(&Env::from_raw(env))?;
    object.set("code", error.code)?;
    object.set("number", error.number)?;
    object.set("slug", error.slug)?;
    object.set("class", error.class)?;
    object.set("message", error.message)?;
    object.set("hint", error.hint)?;
    object.set("retryable", error.retryable)?;
    for (name, value) in [
        ("check", error.check),
        ("expected", error.expected),
        ("found", error.found),
        ("report", error.report_json),
    ] {
        if let Some(value) = value {
            object.set(name, value)?;
        }
    }
    object.set("events", Events(failure.events))?;
    Ok(object)
}

/// Runs something short on the calling thread.
pub fn answer<T>(work: impl FnOnce() -> Result<T>) -> Answer<T> {
    guard(work).into()
}

/// Runs something long on Node's worker pool.
pub fn work<T: ToNapiValue + Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> AsyncTask<Work<T>> {
    AsyncTask::new(Work(Some(Box::new(work))))
}

/// A function for Node's worker pool; it is taken out when it runs.
pub struct Work<T>(Option<Box<dyn FnOnce() -> Result<T> + Send>>);

impl<T: ToNapiValue + Send + 'static> Task for Work<T> {
    type Output = Option<Result<T>>;
    type JsValue = Option<Answer<T>>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        Ok(self.0.take().map(guard))
    }

    fn resolve(&mut self, _env: Env, output: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(output.map(Answer::from))
    }
}

/// Runs a network operation on the shared runtime; the promise resolves in the calling environment, or never if that ends first.
pub fn promise<T: ToNapiValue + Send + 'static>(
    env: &Env,
    cancel: CancelToken,
    operation: impl Future<Output = Result<T>> + Send + 'static,
) -> napi::Result<Object<'_>> {
    let (deferred, promise) = env.create_deferred::<Answer<T>, _>()?;
    match guard(runtime) {
        Ok(runtime) => drop(runtime.spawn(async move {
            let result = run(cancel, operation).await;
            deferred.resolve(Box::new(move |_| Ok(result.into())) as Resolver<T>);
        })),
        Err(error) => deferred.resolve(Box::new(move |_| Ok(Err(error).into()))),
    }
    Ok(promise)
}

type Resolver<T> = Box<dyn FnOnce(Env) -> napi::Result<Answer<T>> + Send>;
