package meter

// name is a member's name that the meter knows. A path is the names from the document's root to a value,
// eight bits each, the last one lowest: eight levels at most, deeper ones tell nothing.
type (
	name = uint64
	path = uint64
)

const (
	root  path = 0
	lost  path = ^path(0) // below here nothing is read
	other name = 0xff
)

const (
	item name = iota + 1 // an array's element
	nArguments
	nAudio
	nB64
	nCacheCreation
	nCacheRead
	nCached
	nCachedHit
	nChoices
	nCode
	nCompletionDetails
	nCompletionTokens
	nContent
	nContentBlock
	nData
	nDelta
	nError
	nFinishReason
	nFunction
	nFunctionCall
	nImage
	nImageCount
	nInput
	nInputDetails
	nInputTokens
	nMessage
	nModel
	nName
	nOutput
	nOutputDetails
	nOutputTokens
	nPartialJSON
	nPromptDetails
	nPromptTokens
	nReasoning
	nReasoningContent
	nReasoningTokens
	nRefusal
	nResponse
	nResults
	nStopReason
	nSummary
	nText
	nThinking
	nToolCalls
	nTotalTokens
	nTranscript
	nType
	nURL
	nUsage
)

// known names, by their spelling.
func known(spelled []byte) name {
	switch string(spelled) {
	case "arguments":
		return nArguments
	case "audio":
		return nAudio
	case "b64_json":
		return nB64
	case "cache_creation_input_tokens":
		return nCacheCreation
	case "cache_read_input_tokens":
		return nCacheRead
	case "cached_tokens":
		return nCached
	case "prompt_cache_hit_tokens":
		return nCachedHit
	case "choices":
		return nChoices
	case "code":
		return nCode
	case "completion_tokens_details":
		return nCompletionDetails
	case "completion_tokens":
		return nCompletionTokens
	case "content":
		return nContent
	case "content_block":
		return nContentBlock
	case "data", "embeddings":
		return nData
	case "delta":
		return nDelta
	case "error":
		return nError
	case "finish_reason":
		return nFinishReason
	case "function":
		return nFunction
	case "function_call":
		return nFunctionCall
	case "image":
		return nImage
	case "image_count":
		return nImageCount
	}
	return knownToo(spelled)
}

func knownToo(spelled []byte) name {
	switch string(spelled) {
	case "input":
		return nInput
	case "input_tokens_details":
		return nInputDetails
	case "input_tokens":
		return nInputTokens
	case "message":
		return nMessage
	case "model":
		return nModel
	case "name":
		return nName
	case "output":
		return nOutput
	case "output_tokens_details":
		return nOutputDetails
	case "output_tokens":
		return nOutputTokens
	case "partial_json":
		return nPartialJSON
	case "prompt_tokens_details":
		return nPromptDetails
	case "prompt_tokens":
		return nPromptTokens
	case "reasoning":
		return nReasoning
	case "reasoning_content":
		return nReasoningContent
	case "reasoning_tokens":
		return nReasoningTokens
	case "refusal":
		return nRefusal
	case "response":
		return nResponse
	case "results":
		return nResults
	case "stop_reason":
		return nStopReason
	case "summary":
		return nSummary
	case "text":
		return nText
	case "thinking":
		return nThinking
	case "tool_calls":
		return nToolCalls
	case "total_tokens":
		return nTotalTokens
	case "transcript":
		return nTranscript
	case "type":
		return nType
	case "url":
		return nURL
	case "usage":
		return nUsage
	}
	return other
}

// The paths that are read.
const (
	pUsage      = nUsage
	pModel      = nModel
	pType       = nType
	pCode       = nCode
	pError      = nError
	pErrorType  = nError<<8 | nType
	pErrorCode  = nError<<8 | nCode
	pChoices    = nChoices
	pChoice     = nChoices<<8 | item
	pFinish     = pChoice<<8 | nFinishReason
	pDelta      = nDelta
	pStop       = nDelta<<8 | nStopReason
	pOutput     = nOutput
	pOutputItem = nOutput<<8 | item
	pResponse   = nResponse
	pMessage    = nMessage
	pBlock      = nContentBlock
	pContent    = nContent
	pData       = nData
	pDatum      = nData<<8 | item
	pResult     = nResults<<8 | item
)

// child is the path of a member or element. What a stream's event wraps (response, message), what the native
// format does (output) and the usage that some put into a choice is read as if it stood at the top.
func child(parent path, n name) path {
	if parent == lost || n == other || parent>>56 != 0 {
		return lost
	}
	switch parent {
	case pResponse, pMessage:
		if n == nUsage || n == nModel || n == nError {
			return n
		}
	case pChoice:
		if n == nUsage {
			return n
		}
	case pOutput:
		switch n {
		case nChoices, nResults:
			return n
		case nFinishReason:
			return pFinish
		}
	}
	return parent<<8 | n
}

// last is the name that a path ends in.
func last(p path) name { return p & 0xff }

// says reports whether a string at a path is content that a model made.
func says(p path) bool {
	if p == lost {
		return false
	}
	switch last(p) {
	case nText, nThinking, nPartialJSON, nRefusal, nReasoningContent, nReasoning, nArguments, nTranscript, nB64,
		nDelta, nName, nContent, nData, nImage, nURL, nAudio, nInput:
		return made(p)
	}
	return false
}

// made reports whether a path leads through one of the places that hold an answer.
func made(p path) bool {
	for p>>8 != 0 {
		if p == pChoice {
			return true
		}
		p >>= 8
	}
	switch p {
	case nDelta, nText, nContent, nContentBlock, nB64, nAudio, nOutput, nData, nResults:
		return true
	}
	return false
}
