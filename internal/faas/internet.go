package faas

// InternetTag is the tag of a function that says whether it reaches the internet, for tools that know AWS's settings only.
// Its value, On or Off, is part of the function's version.
const InternetTag = OwnTags + "internet"

// ForkTag is the tag of a function that, with the value Off, has its instances started plainly and never forked from a process
// that other functions' instances are forked from. Its value is part of the function's version.
const ForkTag = OwnTags + "fork"

// ConcurrencyTag is the tag of a function whose instances take several calls at once, for tools that know AWS's settings only: AWS has
// it for functions on instances of one's own. Its value, a number from 1 to MaxConcurrency, is part of the function's version.
const ConcurrencyTag = OwnTags + "concurrency"

// MaxConcurrency is how many calls an instance may be asked to take at once.
const MaxConcurrency = 100

// OwnTags begins the keys of tags that are settings of the platform. Others that begin so are refused: they are misspelt.
const OwnTags = "artesian:"

// The values of InternetTag and ForkTag.
const (
	On  = "on"
	Off = "off"
)
