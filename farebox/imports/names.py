"""Names of providers and models as other programs write them, and the ids they have in the price book.

The names are those of LiteLLM's ``custom_llm_provider``, of OpenTelemetry's ``gen_ai.provider.name`` and
``gen_ai.system``, and of Helicone's ``provider``, in lower case. A name that is not here passes through as it is.
"""

from farebox.imports.options import Options
from farebox.imports.phrases import quoted

PROVIDERS = {
    "ai21_chat": "ai21",
    "anthropic_text": "anthropic",
    "aws_bedrock": "aws",
    "aws.bedrock": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "amazon_bedrock": "aws",
    "amazon": "aws",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azure_text": "azure",
    "chatgpt": "openai",
    "cohere_chat": "cohere",
    "codestral": "mistral",
    "fireworks_ai": "fireworks",
    "friendliai": "friendli",
    "gemini": "google",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "google_ai_studio": "google",
    "vertex": "google",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "vertexai": "google",
    "palm": "google",
    "github_copilot": "github-copilot",
    "ibm.watsonx.ai": "watsonx",
    "lambda_ai": "lambda",
    "meta_llama": "meta",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "moonshot_ai": "moonshotai",
    "oci_genai": "oci",
    "openai_like": "openai",
    "text-completion-openai": "openai",
    "text-completion-codestral": "mistral",
    "qwen": "dashscope",
    "togetherai": "together",
    "together_ai": "together",
    "vercel_ai_gateway": "vercel",
    "voyage": "voyageai",
    "x": "x-ai",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "z_ai": "zai",
}
# The ids of the price book that are written as they are where a prefix of a model names its provider.
_PLAIN = (
    *("openai", "anthropic", "azure", "google", "mistral", "cohere", "groq", "deepseek", "openrouter", "perplexity"),
    *("cerebras", "deepinfra", "databricks", "dashscope", "hyperbolic", "nebius", "novita", "nscale", "ovhcloud"),
    *("sambanova", "snowflake", "watsonx", "wandb", "ai21", "minimax", "zai", "meta", "scaleway"),
)
PREFIXES = PROVIDERS | {name: name for name in _PLAIN}
# Names of models that their maker alone gives, and its id: for sources that do not say who was called.
_MAKERS = (
    ("(gpt-|chatgpt-|o[134](-|$)|text-embedding-(3|ada)|davinci|babbage|codex-|omni-moderation|whisper-1)", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "google"),
    ("grok-", "x-ai"),
    ("deepseek-(chat|reasoner)", "deepseek"),
    ("(mistral|ministral|magistral|codestral|devstral|pixtral)-", "mistral"),
    ("(command|embed|rerank)-", "cohere"),
    ("sonar", "perplexity"),
    ("([a-z]+[.])?(anthropic|amazon|meta|cohere|mistral|ai21|deepseek|openai|qwen)[.][a-z]", "aws"),
)


def provider_of(name: str, options: Options, *others: str) -> str:
    """Return the phrase for the id of a provider.

    Args:
        name: phrase of its name in the source.
        options: whose provider is taken where the source names none.
        others: phrases for what else may say who was called, tried last.
    """
    given = [quoted(options.provider)] if options.provider else []
    known = looked_up(PROVIDERS, f"lower({name})")
    return f"coalesce({', '.join((known, f'lower({name})', *given, *others, 'NULL'))})"


def maker_of(model: str) -> str:
    """Return the phrase for the maker of a model, whose own API is meant where nothing says otherwise; or NULL."""
    cases = (f"WHEN regexp_matches({model}, {quoted('^' + start)}) THEN {quoted(maker)}" for start, maker in _MAKERS)
    return f"CASE {' '.join(cases)} END"


def prefix_of(model: str) -> str:
    """Return the phrase for the provider that a prefix of a model's name means, as in ``azure/gpt-4o``; or NULL."""
    return looked_up(PREFIXES, f"CASE WHEN contains({model}, '/') THEN lower(split_part({model}, '/', 1)) END")


def without_prefix(model: str, provider: str) -> str:
    """Return the phrase for a model's name without a prefix that names its provider once more.

    Args:
        model: phrase of the name.
        provider: phrase of the provider's id.
    """
    return f"CASE WHEN {prefix_of(model)} = {provider} THEN {model}[strpos({model}, '/') + 1:] ELSE {model} END"


def model_of(name: str, options: Options) -> str:
    """Return the phrase for a model; that of the options is taken where the source names none."""
    return f"coalesce({name}, {quoted(options.model)})" if options.model else name


def bedrock_model(model: str) -> str:
    """Return the phrase for a model of Amazon Bedrock without what an ARN or a route puts before it.

    An application's own inference profile keeps its ARN, as it does not say which model it stands for.
    """
    return (
        f"CASE WHEN contains({model}, 'application-inference-profile/') THEN {model} "
        f"WHEN starts_with({model}, 'arn:') THEN regexp_extract({model}, '[^/]+$') "
        f"ELSE regexp_replace({model}, '^((bedrock|converse|invoke|[a-z]{{2}}(-[a-z]+)+-[0-9])/)+', '') END"
    )


def region_in(address: str) -> str:
    """Return the phrase for the region that an address of Amazon Bedrock or Vertex AI names; or NULL."""
    return (
        f"CASE WHEN contains({address}, 'amazonaws.com') "
        f"THEN nullif(regexp_extract({address}, 'bedrock[a-z-]*[.]([a-z0-9-]+)[.]', 1), '') "
        f"WHEN contains({address}, '-aiplatform.googleapis.com') "
        f"THEN nullif(regexp_extract({address}, '([a-z0-9-]+)-aiplatform[.]', 1), '') END"
    )


def looked_up(names: dict[str, str], key: str) -> str:
    """Return the phrase for what a key stands for, NULL where it is none of the names."""
    pairs = ", ".join(f"{quoted(name)}: {quoted(found)}" for name, found in names.items())
    return f"MAP {{{pairs}}}[{key}]"
