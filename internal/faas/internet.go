package faas

// InternetTag is the tag of a function that says whether it reaches the internet, for tools that know AWS's settings only.
// Its value, On or Off, is part of the function's version.
const InternetTag = OwnTags + "internet"

// ForkTag is the tag of a function that, with the value Off, has its instances started plainly and never forked from a process
// that other functions' instances are forked from. Its value is part of the function's version.
const ForkTag = OwnTags + "fork"

// OwnTags begins the keys of tags that are settings of the platform. Others that begin so are refused: they are misspelt.
const OwnTags = "artesian:"

// The values of InternetTag and ForkTag.
const (
	On  = "on"
	Off = "off"
)
