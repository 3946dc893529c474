package translate

// rule is what becomes of a member that is not translated.
type rule struct {
	hint    bool     // it cannot change the answer's meaning: left out
	neutral []string // values, as written, that ask for nothing: left out
	reason  string   // why any other is refused
}

type rules map[string]rule

// The words of reasons.
const (
	noEqual    = "has no equal in the upstream's API"
	deprecated = "is deprecated and has no equal in the upstream's API; use tools"
	noThinking = "asks for thinking, which the two APIs carry in ways that have no equal"
	noOther    = "is of a kind that has no equal in the upstream's API"

	manyAnswers  = "asks for more than one answer, which has no equal in the upstream's API"
	participant  = "names a participant, which has no equal in the upstream's API"
	whiteStop    = "holds a sequence of nothing but white space, which the upstream does not take"
	lateSystem   = "is a system message after the conversation began, which the upstream does not take"
	lateResult   = "is a tool's result after other content of its turn, which the upstream does not take"
	noToolThere  = "asks for a tool, and there are no tools"
	signedOnly   = "is thinking, which only the provider that signed it takes back"
	noObjectText = "has to hold a JSON object, for the upstream takes no other"
	// endsWithAssistant: Anthropic continues such a text, OpenAI answers it.
	endsWithAssistant = "ends with the assistant's turn, which one API continues and the other answers"
)

var hint = rule{hint: true}

func refused(neutral ...string) rule { return rule{neutral: neutral, reason: noEqual} }

// chatRules are for what a chat completion's request holds beside the members that are translated.
var chatRules = rules{
	// How the provider keeps, bills, caches, labels or speeds up the call.
	"store": hint, "metadata": hint, "service_tier": hint, "prediction": hint, "safety_identifier": hint,
	"prompt_cache_key": hint, "prompt_cache_retention": hint, "prompt_cache_options": hint,

	"n":                  {neutral: []string{"1"}, reason: manyAnswers},
	"seed":               refused(),
	"frequency_penalty":  refused("0", "0.0"),
	"presence_penalty":   refused("0", "0.0"),
	"logit_bias":         refused("{}"),
	"logprobs":           refused("false"),
	"top_logprobs":       refused("0"),
	"audio":              refused(),
	"modalities":         refused(`["text"]`),
	"verbosity":          refused(`"medium"`),
	"moderation":         refused(),
	"web_search_options": refused(),
	"functions":          {neutral: []string{"[]"}, reason: deprecated},
	"function_call":      {reason: deprecated},
	"reasoning_effort":   {neutral: []string{`"none"`}, reason: noThinking},
	"enable_thinking":    {neutral: []string{"false"}, reason: noThinking}, // Model Studio's
	"thinking_budget":    {reason: noThinking},
}

// messagesRules are for what a messages request holds beside the members that are translated.
var messagesRules = rules{
	"service_tier": hint, "speed": hint, "cache_control": hint,

	"top_k":              refused(),
	"container":          refused(),
	"mcp_servers":        refused("[]"),
	"context_management": refused(),
	"diagnostics":        refused(),
	"inference_geo":      refused(),
}

// Parts of messages. Marks for the cache are hints everywhere; sources of a text (annotations, citations) are
// about an earlier answer.
var (
	chatPartRules = rules{"prompt_cache_breakpoint": hint, "cache_control": hint}
	imageURLRules = rules{"detail": hint} // Anthropic chooses the resolution itself
	blockRules    = rules{"cache_control": hint, "citations": hint, "toolset_name": refused()}
	noRules       = rules{}

	chatSystemRules = rules{
		"name":          {reason: participant},
		"cache_control": hint,
	}
	chatUserRules      = chatSystemRules
	chatAssistantRules = rules{
		"name":              chatSystemRules["name"],
		"annotations":       hint,
		"reasoning_content": hint, // how an earlier answer came about; unsigned, nobody takes it back
		"reasoning":         hint, // the same, as others call it
		"cache_control":     hint,
		"audio":             refused(),
		"function_call":     {reason: deprecated},
	}
	chatToolRules = rules{
		"name":          hint, // the call's id says which tool it was
		"cache_control": hint,
	}
	// The answer is written by us: AnswerOptions.IncludeUsage.
	streamRules = rules{"include_usage": hint, "include_obfuscation": hint}

	chatToolDefinitionRules     = rules{"cache_control": hint}
	messagesToolDefinitionRules = rules{
		"cache_control": hint, "eager_input_streaming": hint,
		"defer_loading":   refused("false"),
		"allowed_callers": refused(`["direct"]`),
		"input_examples":  refused("[]"),
	}
	outputConfigRules = rules{"effort": {reason: noThinking}}
)
