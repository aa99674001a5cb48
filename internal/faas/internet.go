package faas

// InternetTag is the tag of a function that says whether it reaches the internet, for tools that know AWS's settings only.
// Its value, On or Off, is part of the function's version.
const InternetTag = "artesian:internet"

// The values of InternetTag.
const (
	On  = "on"
	Off = "off"
)
