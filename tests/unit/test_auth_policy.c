/* SPDX-License-Identifier: GPL-3.0-or-later
 * Putting a policy: each fault of auth.md §4.5 with its message; IsPublic (§4.8); telling callers apart by key (§7). */
#include "unit.h"

#include "auth_world.h"

#include "util/cleanup.h"

struct fault {
    enum policy_kind kind;
    const char *text;    /* with ' for " */
    const char *message; /* NULL: it is none */
};

/* A statement that is right but for what stands in its place. */
#define P_ "'Principal':'*',"
#define E_ "'Effect':'Allow',"
#define A_ "'Action':'s3:GetObject',"
#define R_ "'Resource':'arn:aws:s3:::b/*'"
#define ONE(MEMBERS) "{'Statement':[{" MEMBERS "}]}"
#define COND(CONDITION) ONE(E_ P_ A_ R_ ",'Condition':" CONDITION)

#define NOT_JSON "This policy contains invalid Json"
#define FIRST "Policies must be valid JSON and the first byte must be '{'"
#define PRINCIPAL "Invalid principal in policy"
#define ACTION "Policy has invalid action"
#define RESOURCE "Policy has invalid resource"
#define VALUE "Policy has an invalid condition value"
#define KEY "Policy has an invalid condition key"
#define FIT "Action does not apply to any resource(s) in statement"

static const struct fault faults[] = {
    {POLICY_BUCKET, "", FIRST},
    {POLICY_BUCKET, " {}", FIRST},
    {POLICY_BUCKET, "[]", FIRST},
    {POLICY_BUCKET, "{", NOT_JSON},
    {POLICY_BUCKET, "{} x", NOT_JSON},
    {POLICY_BUCKET, "{'Statement':[],'Statement':[]}", NOT_JSON},
    {POLICY_BUCKET, "{'Id':'\xff','Statement':[]}", NOT_JSON},
    {POLICY_BUCKET, "{'Id':7,'Statement':[]}", NOT_JSON},
    {POLICY_BUCKET, "{'Statement':['x']}", NOT_JSON},
    {POLICY_BUCKET, "{'Statment':[]}", "Unknown field Statment"},
    {POLICY_BUCKET, "{}", "Missing required field Statement"},
    {POLICY_BUCKET, ONE(P_ A_ R_), "Missing required field Effect"},
    {POLICY_BUCKET, ONE(E_ A_ R_), "Missing required field Principal"},
    {POLICY_BUCKET, ONE(E_ P_ R_), "Missing required field Action"},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'s3:GetObject'"), "Missing required field Resource"},
    {POLICY_BUCKET, ONE(E_ P_ A_ R_ ",'Conditions':{}"), "Unknown field Conditions"},
    {POLICY_BUCKET, ONE(E_ P_ A_ R_ ",'sid':'x'"), "Unknown field sid"},
    {POLICY_BUCKET, "{'Version':'2012-10-18','Statement':[]}", "The policy must contain a valid version string"},
    {POLICY_BUCKET, "{'Version':2012,'Statement':[]}", "The policy must contain a valid version string"},
    {POLICY_BUCKET, ONE("'Effect':'allow'," P_ A_ R_), "Invalid effect: allow"},
    {POLICY_BUCKET, ONE("'Effect':1," P_ A_ R_), "Invalid effect: 1"},
    {POLICY_BUCKET, "{'Statement':[]}", "Could not parse the policy: Statement is empty!"},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'AWS':'arn:aws:iam::" ACCOUNT1 ":user/nobody'}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'AWS':'arn:aws:iam::" ACCOUNT1 ":user/al*'}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'AWS':'arn:aws:iam::" ACCOUNT1 ":role/r'}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'AWS':[]}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':'alice'," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'AWS':'arn:aws:iam:::user/alice'}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'Federated':'x'}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'CanonicalUser':'12'}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'Service':'*'}," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'NotPrincipal':'*'," A_ R_), PRINCIPAL},
    {POLICY_BUCKET, ONE(E_ "'Principal':'*','NotPrincipal':'*'," A_ R_), "Principal and NotPrincipal in one statement"},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'s3:Fly'," R_), ACTION},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':['s3:GetObject','s3:Fly*']," R_), ACTION},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'kms:Decrypt'," R_), ACTION},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'GetObject'," R_), ACTION},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':[]," R_), ACTION},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'s*:GetObject'," R_), ACTION},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'NotAction':'s3:GetObject'," R_), "Action and NotAction in one statement"},
    {POLICY_BUCKET, ONE(E_ P_ A_ R_ ",'NotResource':'*'"), "Resource and NotResource in one statement"},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'Resource':'arn:aws:s3:::c/*'"), RESOURCE},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'Resource':'arn:aws:s3:::bb*'"), RESOURCE},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'Resource':'b/*'"), RESOURCE},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'Resource':[]"), RESOURCE},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'Resource':['arn:aws:s3:::b/*',7]"), RESOURCE},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'Resource':'arn:aws:s3:us-east-1:" ACCOUNT1 ":accesspoint/ap/object/*'"), RESOURCE},
    {POLICY_BUCKET, "{'Version':'2012-10-17','Statement':[{" E_ P_ A_ "'Resource':'arn:aws:s3:::b/${s3:nonsense}'}]}", RESOURCE},
    {POLICY_BUCKET, "{'Version':'2012-10-17','Statement':[{" E_ P_ A_ "'Resource':'arn:aws:s3:::b/${aws:username'}]}", RESOURCE},
    {POLICY_BUCKET, "{'Version':'2012-10-17','Statement':[{" E_ P_ A_ "'Resource':'arn:aws:s3:::b/${s3:RequestObjectTagKeys}'}]}", RESOURCE},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'s3:ListBucket'," R_), FIT},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':['s3:GetObject','s3:ListBucket']," R_), FIT},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'s3:GetObject','Resource':'arn:aws:s3:::b'"), FIT},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'s3:ListAllMyBuckets','Resource':'arn:aws:s3:::b'"), FIT},
    {POLICY_IDENTITY, ONE(E_ "'Action':'s3:ListBucket','Resource':'arn:aws:s3:::b/*'"), FIT},
    {POLICY_IDENTITY, ONE(E_ "'Action':'kms:Decrypt','Resource':'arn:aws:s3:::b'"), FIT},
    {POLICY_BUCKET, COND("{'StringEqual':{'aws:Referer':'x'}}"), "Invalid Condition type : StringEqual"},
    {POLICY_BUCKET, COND("{'NullIfExists':{'aws:Referer':'true'}}"), "Invalid Condition type : NullIfExists"},
    {POLICY_BUCKET, COND("{'ForSomeValue:StringEquals':{'aws:Referer':'x'}}"), "Invalid Condition type : ForSomeValue:StringEquals"},
    {POLICY_BUCKET, COND("{'stringequals':{'aws:Referer':'x'}}"), "Invalid Condition type : stringequals"},
    {POLICY_BUCKET, COND("{'IfExists':{'aws:Referer':'x'}}"), "Invalid Condition type : IfExists"},
    {POLICY_BUCKET, COND("{'StringEquals':{'s3:nonsense':'x'}}"), KEY},
    {POLICY_BUCKET, COND("{'StringEquals':{'Referer':'x'}}"), KEY},
    {POLICY_BUCKET, COND("{'StringEquals':{'kms:ViaService':'x'}}"), KEY},
    {POLICY_BUCKET, COND("{'StringEquals':{'aws:Referer':[]}}"), VALUE},
    {POLICY_BUCKET, COND("{'StringEquals':{'aws:Referer':null}}"), VALUE},
    {POLICY_BUCKET, COND("{'StringEquals':{'aws:Referer':{'x':1}}}"), VALUE},
    {POLICY_BUCKET, COND("{'NumericEquals':{'s3:max-keys':'ten'}}"), VALUE},
    {POLICY_BUCKET, COND("{'NumericEquals':{'s3:max-keys':true}}"), VALUE},
    {POLICY_BUCKET, COND("{'DateLessThan':{'aws:CurrentTime':'yesterday'}}"), VALUE},
    {POLICY_BUCKET, COND("{'DateLessThan':{'aws:CurrentTime':'+3d'}}"), VALUE},
    {POLICY_BUCKET, COND("{'DateLessThan':{'aws:CurrentTime':'2026-02-30'}}"), VALUE},
    {POLICY_BUCKET, COND("{'Bool':{'aws:SecureTransport':'yes'}}"), VALUE},
    {POLICY_BUCKET, COND("{'Null':{'aws:SecureTransport':'maybe'}}"), VALUE},
    {POLICY_BUCKET, COND("{'IpAddress':{'aws:SourceIp':'10.0.0.0/33'}}"), VALUE},
    {POLICY_BUCKET, COND("{'IpAddress':{'aws:SourceIp':'10.0.0'}}"), VALUE},
    {POLICY_BUCKET, COND("{'ArnLike':{'aws:SourceArn':'b/*'}}"), VALUE},
    {POLICY_BUCKET, COND("{'BinaryEquals':{'aws:Referer':'?'}}"), VALUE},
    {POLICY_BUCKET, "{'Statement':[{'Sid':'x'," E_ P_ A_ R_ "},{'Sid':'x'," E_ P_ A_ R_ "}]}",
     "Statement IDs (SID) in a single policy must be unique."},
    {POLICY_IDENTITY, ONE(E_ P_ A_ R_), "Policy document should not specify a principal."},
    {POLICY_IDENTITY, ONE(E_ A_ "'Resource':'mine'"), RESOURCE},
    {POLICY_IDENTITY, ONE(E_ "'Action':'s3:Fly'," R_), ACTION},
    /* and what is none */
    {POLICY_BUCKET, ONE(E_ P_ A_ R_), NULL},
    {POLICY_BUCKET, "{'Statement':{" E_ P_ A_ R_ "}}", NULL},
    {POLICY_BUCKET, "{'Version':'2008-10-17','Id':'i','Statement':[{'Sid':''," E_ P_ A_ R_ "},{'Sid':''," E_ P_ A_ R_ "}]}", NULL},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'*','Resource':'*'"), NULL},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'s3:*','Resource':'arn:aws:s3:::*'"), NULL},
    {POLICY_BUCKET, ONE(E_ P_ "'Action':'s3:*','Resource':'arn:aws:s3:::b'"), NULL},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'Resource':'arn:aws:s3:::*/x'"), NULL},
    {POLICY_BUCKET, ONE(E_ P_ A_ "'Resource':'arn:*:s3:::?/x*'"), NULL},
    {POLICY_BUCKET, ONE(E_ P_ "'NotAction':'s3:ListBucket'," R_), NULL},
    {POLICY_BUCKET, ONE("'Effect':'Deny','NotPrincipal':{'AWS':['" ACCOUNT1 "','*']}," A_ R_), NULL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'AWS':'arn:aws:iam::999999999999:user/x','Service':'logging.s3.amazonaws.com'}," A_ R_), NULL},
    {POLICY_BUCKET, ONE(E_ "'Principal':{'AWS':['s3test-other_account','*']}," A_ R_), NULL},
    {POLICY_BUCKET, COND("{'DateLessThan':{'aws:CurrentTime':['2026-11-24','2026-11-24T12:00:00+01:00',1795521600]}}"), NULL},
    {POLICY_BUCKET, COND("{'ForAllValues:StringLikeIfExists':{'aws:PrincipalOrgPaths':[1,1.5,true,'x']}}"), NULL},
    {POLICY_BUCKET, COND("{'ArnEquals':{'aws:PrincipalArn':'arn:aws:iam::*:user/*'},'Null':{'s3:prefix':[true,'False']}}"), NULL},
    {POLICY_IDENTITY, ONE(E_ "'Action':['s3:ListBucket','s3:GetObject'],'Resource':['arn:aws:s3:::b','arn:aws:s3:::b/*']"), NULL},
    {POLICY_IDENTITY, ONE(E_ "'Action':'s3:ListAllMyBuckets','Resource':'arn:aws:s3:::*'"), NULL},
    {POLICY_IDENTITY, ONE(E_ "'Action':'s3:ListBucket','Resource':'" POINT_ARN "'"), NULL},
    {POLICY_IDENTITY, ONE(E_ "'Action':['kms:Decrypt','audit:Read','lambda:InvokeFunction'],'Resource':'*','Condition':{'StringEquals':{'kms:ViaService':'x'}}"), NULL},
    {POLICY_ACCESS_POINT, ONE(E_ P_ "'Action':['s3:GetObject','s3:ListBucket'],'Resource':['" POINT_ARN "','" POINT_ARN "/object/*']"), NULL},
    {POLICY_ACCESS_POINT, ONE(E_ P_ "'Action':'s3:GetObject','Resource':'arn:aws:s3:::b/*'"), RESOURCE},
    {POLICY_KEY, ONE(E_ P_ "'Action':'kms:*','Resource':'*'"), NULL},
    {POLICY_KEY, ONE(E_ P_ "'Action':'s3:GetObject','Resource':'*'"), ACTION},
    {POLICY_VIEW, ONE(E_ P_ "'Action':'s3-object-lambda:GetObject','Resource':'arn:aws:s3-object-lambda:us-east-1:" ACCOUNT1 ":accesspoint/v'"), NULL},
    {POLICY_VAULT, ONE("'Effect':'Deny'," P_ "'Action':'glacier:DeleteArchive','Resource':'*','Condition':{'NumericLessThan':{'glacier:ArchiveAgeInDays':365}}"), NULL},
};

static char *quoted(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return copy;
}

static void each_fault_has_its_message(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof faults / sizeof *faults; n++) {
        CLEANUP_FREE char *text = quoted(faults[n].text);
        struct policy *p = NULL;
        struct reason why = {0};
        int r = world_policy(faults[n].kind, text, strlen(text), &p, &why);
        const char *expected = faults[n].message ? faults[n].message : "";
        CLEANUP_FREE char *exact = strcmp(expected, FIRST) == 0 ? strdup(FIRST) : quoted(expected);
        if (strcmp(why.text, exact) != 0 || r != (faults[n].message ? -EINVAL : 0))
            fail_msg("%s\n  expected: %s\n  got:      %s (%d)", text, exact, why.text, r);
        assert_string_equal(why.code, r < 0 ? "MalformedPolicy" : "");
        policy_unref(p);
    }
}

static void size_is_bounded_and_the_text_is_kept(void **state)
{
    (void)state;
    char *text = malloc(POLICY_MAX_BYTES + 2);
    memset(text, ' ', POLICY_MAX_BYTES + 1);
    CLEANUP_FREE char *core = quoted(ONE(E_ P_ A_ R_));
    memcpy(text, core, strlen(core));
    struct policy *p = NULL;
    struct reason why = {0};
    assert_int_equal(world_policy(POLICY_BUCKET, text, POLICY_MAX_BYTES + 1, &p, &why), -E2BIG);
    assert_string_equal(why.code, "PolicyTooLarge");
    assert_string_equal(why.text, "Policy exceeds the maximum allowed document size.");
    assert_int_equal(world_policy(POLICY_BUCKET, text, POLICY_MAX_BYTES, &p, &why), 0);
    size_t len;
    assert_memory_equal(policy_text(p, &len), text, POLICY_MAX_BYTES);
    assert_int_equal(len, POLICY_MAX_BYTES);
    policy_unref(p);
    free(text);
}

struct fact {
    const char *text;
    bool holds;
};

static void what_is_public(void **state)
{
    (void)state;
    static const struct fact facts[] = {
        {ONE(E_ P_ A_ R_), true},
        {ONE(E_ "'Principal':{'AWS':'*'}," A_ R_), true},
        {ONE(E_ "'Principal':{'AWS':['" ACCOUNT2 "','*']}," A_ R_), true},
        {ONE(E_ "'Principal':{'AWS':'" ACCOUNT2 "'}," A_ R_), false},
        {ONE("'Effect':'Deny'," P_ A_ R_), false},
        {COND("{'IpAddress':{'aws:SourceIp':'10.0.0.0/24'}}"), false},
        {COND("{'IpAddress':{'aws:SourceIp':'0.0.0.0/1'}}"), true},
        {COND("{'IpAddress':{'aws:SourceIp':['10.0.0.0/8','0.0.0.0/7']}}"), true},
        {COND("{'IpAddress':{'aws:SourceIp':'2001:db8::/32'}}"), false},
        {COND("{'IpAddress':{'aws:SourceIp':'2001::/31'}}"), true},
        {COND("{'NotIpAddress':{'aws:SourceIp':'10.0.0.0/24'}}"), true},
        {COND("{'IpAddressIfExists':{'aws:SourceIp':'10.0.0.0/24'}}"), true},
        {COND("{'ForAllValues:IpAddress':{'aws:SourceIp':'10.0.0.0/24'}}"), true},
        {COND("{'StringEquals':{'s3:DataAccessPointAccount':'" ACCOUNT1 "'}}"), false},
        {COND("{'StringLike':{'aws:userid':'*'}}"), true},
        {COND("{'StringLike':{'aws:userid':'AIDAX'}}"), false},
        {COND("{'StringEquals':{'aws:Referer':'x'}}"), true},
        {COND("{'ArnLike':{'s3:DataAccessPointArn':'arn:aws:s3:us-east-1:" ACCOUNT1 ":accesspoint/*'}}"), false},
        {COND("{'StringLike':{'s3:DataAccessPointArn':'arn:aws:s3:us-east-1:" ACCOUNT1 ":accesspoint/*'}}"), false},
        {COND("{'ArnLike':{'s3:DataAccessPointArn':'arn:aws:s3:us-east-1:*:accesspoint/ap'}}"), true},
        {COND("{'ArnLike':{'aws:SourceArn':'arn:aws:s3:::src*'}}"), true},
        {COND("{'ArnEquals':{'aws:SourceArn':'arn:aws:s3:::src'}}"), false},
        {COND("{'Null':{'aws:SourceVpc':'false'}}"), true},
        {"{'Version':'2012-10-17','Statement':[{" E_ P_ A_ R_ ",'Condition':{'StringEquals':{'aws:username':'${aws:username}'}}}]}", true},
        {"{'Statement':[{" E_ "'Principal':{'AWS':'" ACCOUNT1 "'}," A_ R_ "},{" E_ P_ A_ R_ "}]}", true},
    };
    for (size_t n = 0; n < sizeof facts / sizeof *facts; n++) {
        CLEANUP_FREE char *text = quoted(facts[n].text);
        struct policy *p = NULL;
        assert_int_equal(world_policy(POLICY_BUCKET, text, strlen(text), &p, NULL), 0);
        if (policy_is_public(p) != facts[n].holds)
            fail_msg("%s: %d", text, policy_is_public(p));
        policy_unref(p);
    }
}

static void what_tells_callers_apart_by_key(void **state)
{
    (void)state;
    static const struct fact facts[] = {
        {ONE(E_ A_ "'Resource':'*'"), false},
        {ONE(E_ A_ "'Resource':'arn:aws:s3:::b/*'"), false},
        {ONE(E_ A_ "'Resource':'arn:aws:s3:::*'"), false},
        {ONE(E_ "'Action':'s3:*','Resource':['arn:aws:s3:::b','arn:aws:s3:::b/*']"), false},
        {ONE(E_ A_ "'Resource':'arn:aws:s3:::c/x/*'"), false},
        {ONE(E_ "'Action':'s3:PutObject','Resource':'arn:aws:s3:::b/x/*'"), false},
        {ONE(E_ A_ "'Resource':'arn:aws:s3:::b/x/*'"), true},
        {ONE(E_ A_ "'Resource':'arn:aws:s3:::*/x'"), true},
        {ONE(E_ A_ "'NotResource':'arn:aws:s3:::b/x/*'"), true},
        {ONE(E_ A_ "'NotResource':'arn:aws:s3:::c/x/*'"), false},
        {ONE(E_ "'Action':'s3:ListBucket','Resource':'arn:aws:s3:::b','Condition':{'StringLike':{'s3:prefix':'x/*'}}"), true},
        {ONE(E_ A_ "'Resource':'*','Condition':{'StringLike':{'s3:ExistingObjectTag/x':'x'}}"), true},
        {ONE(E_ A_ "'Resource':'*','Condition':{'StringLike':{'aws:Referer':'x'}}"), false},
    };
    for (size_t n = 0; n < sizeof facts / sizeof *facts; n++) {
        CLEANUP_FREE char *text = quoted(facts[n].text);
        struct policy *p = NULL;
        assert_int_equal(world_policy(POLICY_IDENTITY, text, strlen(text), &p, NULL), 0);
        if (policy_by_key(p, "b") != facts[n].holds)
            fail_msg("%s: %d", text, policy_by_key(p, "b"));
        policy_unref(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_has_its_message),
        cmocka_unit_test(size_is_bounded_and_the_text_is_kept),
        cmocka_unit_test(what_is_public),
        cmocka_unit_test(what_tells_callers_apart_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
