package policy

import "strings"

// operators are the condition operators without quantifier and IfExists
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html).
var operators = map[string]bool{
	"StringEquals": true, "StringNotEquals": true, "StringEqualsIgnoreCase": true, "StringNotEqualsIgnoreCase": true,
	"StringLike": true, "StringNotLike": true,
	"NumericEquals": true, "NumericNotEquals": true, "NumericLessThan": true, "NumericLessThanEquals": true,
	"NumericGreaterThan": true, "NumericGreaterThanEquals": true,
	"DateEquals": true, "DateNotEquals": true, "DateLessThan": true, "DateLessThanEquals": true,
	"DateGreaterThan": true, "DateGreaterThanEquals": true,
	"Bool": true, "BinaryEquals": true, "IpAddress": true, "NotIpAddress": true,
	"ArnEquals": true, "ArnLike": true, "ArnNotEquals": true, "ArnNotLike": true, "Null": true,
}

// readConditions reads {operator: {key: values}}.
func readConditions(v value, at string) ([]Condition, error) {
	if v.kind != '{' {
		return nil, malformed(at, "must be an object of condition operators")
	}
	var list []Condition
	for _, op := range v.fields {
		here := join(at, op.name)
		c, ok := readOperator(op.name)
		if !ok {
			return nil, malformed(here, "is not a condition operator")
		}
		if op.value.kind != '{' {
			return nil, malformed(here, "must be an object of condition keys")
		}
		for _, key := range op.value.fields {
			if !strings.Contains(key.name, ":") {
				return nil, refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: %s has %s", here, quote(key.name))
			}
			values, err := key.value.scalars(join(here, key.name))
			if err != nil {
				return nil, err
			}
			c.Key, c.Values = key.name, values
			list = append(list, c)
		}
	}
	return list, nil
}

func readOperator(name string) (c Condition, ok bool) {
	if quantifier, rest, found := strings.Cut(name, ":"); found {
		if quantifier != "ForAllValues" && quantifier != "ForAnyValue" {
			return c, false
		}
		c.Quantifier, name = quantifier, rest
	}
	c.Operator, c.IfExists = strings.CutSuffix(name, "IfExists")
	return c, operators[c.Operator] && !(c.IfExists && c.Operator == "Null")
}
